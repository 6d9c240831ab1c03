/** Random number generators: one per device, seeded together, each with a state that can be saved and set. */

import { tensor } from './creation.js';
import { native } from './load.js';
import { guard, wrapHandle } from './operator.js';
import type { Tensor } from './tensor.js';

/** Seeds the generators of every device. */
export function manualSeed(seed: number | bigint): void {
  guard('manualSeed', [seed], () => native().manualSeed(seed));
}

/** The generator's whole state as bytes, to be stored and given back to `setRngState`. */
export function getRngState(device = 'cpu'): Uint8Array {
  const state = guard('getRngState', [device], () => wrapHandle(native().rngState(device)) as Tensor);
  const bytes = state.toTypedArray() as Uint8Array;
  state.dispose();
  return bytes;
}

/** @throws TorchError when the bytes are not a state of this kind of generator. */
export function setRngState(bytes: Uint8Array, device = 'cpu'): void {
  const state = tensor(bytes);
  try {
    guard('setRngState', [device, state], () => native().setRngState(device, state.handle));
  } finally {
    state.dispose();
  }
}
