/** Random number generators: one per device, seeded together, each with a state that can be saved and set. */

import { tensor } from './creation.js';
import { ArgumentError } from './errors.js';
import { native } from './load.js';
import { describeValue, guard, wrapHandle } from './operator.js';
import type { Tensor } from './tensor.js';

/** Seeds the generators of every device. Seeds have 64 bits; a negative one is taken as its two's complement. */
export function manualSeed(seed: number | bigint): void {
  const fits = typeof seed === 'bigint' && seed >= 0n && seed < 2n ** 64n;
  guard('manualSeed', [seed], () => native().manualSeed(fits ? BigInt.asIntN(64, seed) : seed));
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
  if (!(bytes instanceof Uint8Array))
    throw new ArgumentError(`setRngState: expected a Uint8Array, received ${describeValue(bytes)}`);
  const state = tensor(bytes);
  try {
    guard('setRngState', [device, state], () => native().setRngState(device, state.handle));
  } finally {
    state.dispose();
  }
}
