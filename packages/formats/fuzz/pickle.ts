import assert from 'node:assert/strict';
import {
  inertGlobal,
  noGlobals,
  numpyGlobals,
  PickleError,
  type PickleHandlers,
  readPickle,
} from '../src/index.js';

/** Any bytes: a value or a `PickleError` of one line, whatever the handlers know. */
export function fuzzPickle(data: Uint8Array): void {
  const numpy = numpyGlobals();
  const lenient: PickleHandlers = {
    findGlobal: (module, name) => numpy(module, name) ?? inertGlobal(module, name),
    persistentId: (id) => id,
  };
  for (const handlers of [noGlobals, { findGlobal: numpyGlobals() }, lenient]) check(data, handlers);
}

function check(data: Uint8Array, handlers: PickleHandlers): void {
  try {
    const { bytesRead } = readPickle(data, handlers);
    assert.ok(bytesRead >= 1 && bytesRead <= data.length);
  } catch (error) {
    if (!(error instanceof PickleError)) throw error;
    assert.match(error.message, /^.{1,600}$/);
  }
}
