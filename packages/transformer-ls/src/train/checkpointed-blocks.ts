import { type Block, type BlockResult, checkpointSequence, type Tensor } from '@transformer-ls/torch';
import type { Precision } from './precision.js';

/**
 * Runs a model's blocks keeping only the input of each; `backward` computes them again, one at a time. The scope of the forward
 * pass must live until then. See `checkpointSequence`.
 */
export class CheckpointedBlocks {
  private finish: () => void = () => undefined;

  constructor(private readonly precision: Precision) {}

  readonly run = <Extra>(
    blocks: readonly Block<Extra>[],
    input: Tensor,
  ): { output: Tensor; extras: readonly Extra[] } => {
    const inPrecision = blocks.map(
      (block) =>
        (x: Tensor): BlockResult<Extra> =>
          this.precision.run(() => block(x)),
    );
    const sequence = checkpointSequence(inPrecision, input);
    this.finish = sequence.backward;
    return sequence;
  };

  backward(loss: Tensor): void {
    loss.backward();
    this.finish();
    this.finish = () => undefined;
  }
}
