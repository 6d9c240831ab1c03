import type { DistributedBinding } from '../binding.js';
import { native } from '../load.js';
import { DistributedError } from './errors.js';

/** Which kinds of groups this libtorch can make. */
export interface Backends {
  /** Tensors on the CPU. */
  readonly gloo: boolean;
  /** Tensors on GPUs. */
  readonly nccl: boolean;
}

/** Whether many processes can work together at all, and over what. */
export function distributedBackends(): Backends {
  const binding = native() as Partial<DistributedBinding>;
  return binding.backends?.() ?? { gloo: false, nccl: false };
}

/** @internal The part of the bridge about many processes. */
export function distributed(): DistributedBinding {
  const binding = native() as Partial<DistributedBinding>;
  if (binding.backends === undefined)
    throw new DistributedError(
      'this libtorch was built without distributed training (USE_DISTRIBUTED=0); take another, or one process',
      'other',
    );
  return binding as DistributedBinding;
}
