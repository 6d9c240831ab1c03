/**
 * Activation checkpointing: memory for one block instead of all, at the price of computing each block twice.
 *
 * libtorch runs backward on threads of its own, where no JavaScript may run, so the graph cannot call a block again by
 * itself. Instead the sequence's output starts a new graph; when the caller has run backward on that, `backward` here
 * goes through the blocks from the last to the first.
 */
import { enableGrad, noGrad } from '../autograd.js';
import { isFloatingPoint } from '../dtype.js';
import { ArgumentError } from '../errors.js';
import { scope } from '../handle.js';
import { getRngState, setRngState } from '../random.js';
import type { Tensor } from '../tensor.js';

export interface BlockResult<Extra> {
  /** What the next block gets. */
  readonly output: Tensor;
  /** Anything else that the forward pass makes, such as a memory; without gradient. */
  readonly extra: Extra;
}

/** One step of the sequence. It runs twice, so it must depend on nothing that changes in between; autocast it sets itself. */
export type Block<Extra> = (x: Tensor) => BlockResult<Extra>;

export interface CheckpointedSequence<Extra> {
  /** The last block's output: a leaf that requires grad. */
  readonly output: Tensor;
  /** What each block gave beside its output, in the forward pass. */
  readonly extras: readonly Extra[];
  /**
   * To be called once, after backward has reached `output`: adds the gradients of everything that the blocks used, and hands
   * the input's gradient on into its own graph. The random number generator is left as it was found.
   */
  backward(): void;
}

interface Stage<Extra> {
  readonly block: Block<Extra>;
  readonly input: Tensor;
  readonly rngState: Uint8Array;
}

/**
 * Runs the blocks one after the other and keeps only their inputs and the random state before each.
 *
 * @param input floating point, on the device whose generator the blocks draw from
 */
export function checkpointSequence<Extra>(
  blocks: readonly Block<Extra>[],
  input: Tensor,
): CheckpointedSequence<Extra> {
  if (!isFloatingPoint(input.dtype))
    throw new ArgumentError(`checkpointSequence: expected a floating-point input, received ${input}`);
  const stages: Stage<Extra>[] = [];
  const extras: Extra[] = [];
  let x = input;
  for (const block of blocks) {
    stages.push({ block, input: x, rngState: getRngState(input.device) });
    const result = noGrad(() => scope(() => block(x)));
    extras.push(result.extra);
    x = result.output;
  }
  const output = x.detach();
  output.requiresGrad = true;
  return { output, extras, backward: () => backwardThrough(stages, input, output) };
}

function backwardThrough<Extra>(stages: Stage<Extra>[], input: Tensor, output: Tensor): void {
  const rngState = getRngState(input.device);
  try {
    scope(() => {
      let gradient = output.grad;
      if (gradient === null)
        throw new ArgumentError(
          'checkpointSequence: call backward on the loss first; no gradient has reached the output',
        );
      output.grad = null;
      for (let stage = stages.pop(); stage !== undefined && gradient !== null; stage = stages.pop())
        gradient = backwardOnce(stage, gradient, input.device);
      if (gradient !== null && input.requiresGrad) input.backward(gradient);
    });
  } finally {
    setRngState(rngState, input.device);
  }
}

/** Computes one block again, this time with its graph, and takes that back at once. Frees the gradient it was given. */
function backwardOnce<Extra>(stage: Stage<Extra>, gradient: Tensor, device: string): Tensor | null {
  const inputGradient = scope(() => {
    setRngState(stage.rngState, device);
    const x = stage.input.detach();
    x.requiresGrad = true;
    const { output } = enableGrad(() => stage.block(x));
    if (output.requiresGrad) output.backward(gradient);
    return x.grad;
  });
  gradient.dispose();
  return inputGradient;
}
