// Files for the safetensors tests: built from a header text and data, so that they can be wrong in any way.

import fc from 'fast-check';
import { elementBytes, SAFETENSORS_DTYPES, type TensorEntry } from '../src/index.js';

export function fileOf(header: string | Uint8Array, dataBytes = 0): Uint8Array {
  const json = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const file = new Uint8Array(8 + json.byteLength + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.byteLength), true);
  file.set(json, 8);
  return file;
}

const names = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 12 }),
  fc.constantFrom('__proto__', 'constructor', 'toString', '7', '', 'a\nb', '"'),
);

/** Tensors of any dtype with up to three dimensions of 0 to 4. */
export const tensorEntries: fc.Arbitrary<TensorEntry> = fc
  .record({
    dtype: fc.constantFrom(...SAFETENSORS_DTYPES),
    shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 }),
  })
  .chain(({ dtype, shape }) => {
    const length = shape.reduce((product, size) => product * size, elementBytes(dtype));
    return fc.uint8Array({ minLength: length, maxLength: length }).map((data) => ({ dtype, shape, data }));
  });

export const tensorMaps = fc
  .array(fc.tuple(names, tensorEntries), { maxLength: 6 })
  .map((pairs) => new Map<string, TensorEntry>(pairs));

export const metadataRecords = fc
  .array(fc.tuple(names, fc.string({ unit: 'grapheme', maxLength: 12 })), { maxLength: 3 })
  .map((pairs) => Object.fromEntries(pairs) as Record<string, string>);
