/** Gradients summed over all processes, begun while the backward pass still makes others; see native/gradient_buckets.cc. */
import type { Tensor } from '../tensor.js';
import { distributed } from './binding.js';
import { guarded } from './errors.js';
import type { ProcessGroup } from './process-group.js';

/**
 * On GPUs as much as PyTorch puts into one. Between CPUs, where sums are slower, less: the earlier the first one leaves, the more of them
 * pass while backward runs, and a model of a few million parameters has more than one.
 */
const BUCKET_BYTES = { nccl: 25 * 2 ** 20, gloo: 4 * 2 ** 20 } as const;

export interface GradientBucketsOptions {
  /** Bytes of gradients that are summed at once. Default: 4 MiB between CPUs, 25 MiB between GPUs. */
  readonly bucketBytes?: number;
  /** Whether sums begin during the backward pass. Default true. */
  readonly overlap?: boolean;
}

/**
 * Use: `begin` before the backward passes whose gradients are to be summed with all that was added before, `finish` behind them; then
 * `.grad` of every parameter is the sum over all processes. One that no process has a gradient of stays without.
 */
export class GradientBuckets {
  private number: number;
  private readonly overlap: boolean;

  /** @param parameters leaves that require grad, the same in every process */
  constructor(
    private readonly group: ProcessGroup,
    parameters: readonly Tensor[],
    { bucketBytes = BUCKET_BYTES[group.backend], overlap = true }: GradientBucketsOptions = {},
  ) {
    const handles = parameters.map((one) => one.live('GradientBuckets'));
    this.number = guarded('gradient buckets', group.timeoutSeconds, () =>
      distributed().openBuckets(group.handle, handles, bucketBytes),
    );
    this.overlap = overlap;
  }

  begin(): void {
    distributed().beginBuckets(this.number, this.overlap);
  }

  /**
   * Waits for all sums. Returns how many there are, and how many of them had begun before the backward pass was over: none in the first,
   * which shows in which order gradients come.
   *
   * @throws DistributedError where another process has ended or does not answer
   */
  finish(): { readonly buckets: number; readonly early: number } {
    const { rank, world, timeoutSeconds } = this.group;
    return guarded(`rank ${rank} of ${world}, sum of the gradients`, timeoutSeconds, () =>
      distributed().finishBuckets(this.number),
    );
  }

  close(): void {
    if (this.number >= 0) distributed().closeBuckets(this.number);
    this.number = -1;
  }
}
