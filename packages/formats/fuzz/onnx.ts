import assert from 'node:assert/strict';
import { decodeOnnx, encodeOnnx, OnnxError } from '../src/onnx/index.js';
import { assertRefused } from './refused.js';

/** Any bytes as an ONNX model: either refused with an `OnnxError` of one line, or written and read again the same. */
export function fuzzOnnx(data: Uint8Array): void {
  try {
    const written = encodeOnnx(decodeOnnx(data));
    assert.deepEqual(encodeOnnx(decodeOnnx(written)), written);
  } catch (error) {
    assertRefused(error, OnnxError);
  }
}
