import fc from 'fast-check';
import { expect, it } from 'vitest';
import { crc32 } from '../src/index.js';

const digits = new TextEncoder().encode('123456789');

it('gives the check value of the standard', () => {
  expect(crc32(digits)).toBe(0xcbf43926);
  expect(crc32(new Uint8Array())).toBe(0);
});

it('gives the same in one piece or in several, however they lie in memory', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat({ max: 40 }), (bytes, at) => {
      let byBit = 0xffffffff;
      for (const byte of bytes) {
        byBit ^= byte;
        for (let bit = 0; bit < 8; bit += 1) byBit = (byBit & 1 ? 0xedb88320 : 0) ^ (byBit >>> 1);
      }
      expect(crc32(bytes)).toBe(~byBit >>> 0);
      expect(crc32(bytes.subarray(at), crc32(bytes.subarray(0, at)))).toBe(~byBit >>> 0);
    }),
  );
});
