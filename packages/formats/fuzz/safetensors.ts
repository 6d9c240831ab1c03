import assert from 'node:assert/strict';
import {
  bytesSource,
  encodeSafetensors,
  openSafetensors,
  parseSafetensors,
  SafetensorsError,
} from '../src/index.js';

/**
 * Any bytes: either refused with a `SafetensorsError` of one line, whole and lazily alike, or read the same both ways and
 * the same again after being written.
 */
export async function fuzzSafetensors(data: Uint8Array): Promise<void> {
  const whole = orRefused(() => parseSafetensors(data));
  const lazy = await openSafetensors(bytesSource(data)).catch((error: unknown) => refused(error));
  if (whole instanceof SafetensorsError || lazy instanceof SafetensorsError) {
    assert.deepEqual(lazy, whole);
    return;
  }
  for (const [name, entry] of whole.tensors) assert.deepEqual(await lazy.read(name), entry);
  const again = parseSafetensors(encodeSafetensors(whole.tensors, whole.metadata));
  assert.deepEqual(again.metadata, whole.metadata);
  assert.deepEqual(new Map([...again.tensors].sort()), new Map([...whole.tensors].sort()));
}

function orRefused<T>(action: () => T): T | SafetensorsError {
  try {
    return action();
  } catch (error) {
    return refused(error);
  }
}

function refused(error: unknown): SafetensorsError {
  if (!(error instanceof SafetensorsError)) throw error;
  assert.match(error.message, /^.{1,600}$/);
  return error;
}
