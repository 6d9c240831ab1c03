import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { DataError } from '../../src/data/errors.js';
import { checkThrift } from '../../src/images/thrift-limits.js';

/** The description of a file that Arrow wrote. */
function description(): Uint8Array {
  const path = fileURLToPath(new URL('./fixtures/train-00000-of-00002.parquet', import.meta.url));
  const bytes = readFileSync(path);
  return bytes.subarray(bytes.length - 8 - bytes.readUInt32LE(bytes.length - 8), bytes.length - 8);
}

it('takes a description that was written by Arrow', () => {
  expect(() => checkThrift(description())).not.toThrow();
});

it.each([
  ['a number of eleven bytes', [0x16, ...Array<number>(11).fill(0xff), 0], /a number has more than 10 bytes/],
  ['a list of more than there are bytes', [0x29, 0xf5, 0xff, 0x7f, 1, 0], /a list of 16383 in 6 bytes/],
  ['a text of more than there are bytes', [0x28, 0x7f, 1, 0], /ends too early/],
  ['no end', [0x15, 2], /ends too early/],
  ['a map', [0x1b, 0, 0], /the unknown kind 11/],
  ['seventeen structures', [...Array<number>(17).fill(0x1c), 0], /more than 16 levels/],
])('refuses %s', (_, bytes, message) => {
  expect(() => checkThrift(Uint8Array.from(bytes))).toThrow(DataError);
  expect(() => checkThrift(Uint8Array.from(bytes))).toThrow(message);
});

it('refuses damaged descriptions with a DataError, or takes them, within their bytes', () => {
  const whole = description();
  const edits = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(edits, (changes) => {
      const bytes = Uint8Array.from(whole);
      for (const [at, value] of changes) bytes[at] = value;
      try {
        checkThrift(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(DataError);
      }
    }),
    { numRuns: 1000 },
  );
});
