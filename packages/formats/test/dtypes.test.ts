import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  asTypedArray,
  bfloat16BitsToFloat32,
  elementBytes,
  float8E4M3BitsToFloat32,
  float8E5M2BitsToFloat32,
  float32ToBFloat16Bits,
  float32ToFloat8E4M3Bits,
  float32ToFloat8E5M2Bits,
  float32ToHalfBits,
  fromFloat32,
  halfBitsToFloat32,
  SAFETENSORS_DTYPES,
  type SafetensorsDtype,
  type TensorArray,
  type TensorEntry,
  toFloat32,
} from '../src/index.js';
import { type SmallFloatName, smallFloatBits, smallFloatValue } from '../src/small-floats.js';

const SMALL: [SmallFloatName, number][] = [
  ['F16', 2 ** 16],
  ['BF16', 2 ** 16],
  ['F8_E5M2', 2 ** 8],
  ['F8_E4M3', 2 ** 8],
  ['F8_E5M2FNUZ', 2 ** 8],
  ['F8_E4M3FNUZ', 2 ** 8],
];

describe('small floats', () => {
  it.each(SMALL)('%s: every bit pattern comes back', (name, patterns) => {
    for (let bits = 0; bits < patterns; bits += 1) {
      const value = smallFloatValue(name, bits);
      const back = smallFloatBits(name, value);
      if (Number.isNaN(value)) expect(smallFloatValue(name, back)).toBeNaN();
      else if (back !== bits) expect.fail(`${name} ${bits} is ${value}, which gives ${back}`);
    }
  });

  it.each(SMALL)(
    '%s: rounds to the nearest of two neighbours, to the even one at the middle',
    (name, patterns) => {
      for (let bits = 0; bits < patterns / 2 - 1; bits += 1) {
        const low = smallFloatValue(name, bits);
        const high = smallFloatValue(name, bits + 1);
        if (!Number.isFinite(high)) break;
        const middle = low / 2 + high / 2;
        const above = Math.fround(middle + (high - low) / 64);
        const below = Math.fround(middle - (high - low) / 64);
        const even = bits % 2 === 0 ? bits : bits + 1;
        // Between two subnormals of bfloat16 there is room for a float32 at the middle, but not always a 64th beside it.
        const ok =
          smallFloatBits(name, middle) === even &&
          smallFloatBits(name, above) === (above === middle ? even : bits + 1) &&
          smallFloatBits(name, below) === (below === middle ? even : bits);
        if (!ok) expect.fail(`${name}: between ${low} and ${high}`);
      }
    },
  );

  it('agrees with the known corners of each format', () => {
    const corners: [number, number][] = [
      [float32ToHalfBits(65519.99609375), 0x7bff],
      [float32ToHalfBits(65520), 0x7c00],
      [float32ToHalfBits(2 ** -25), 0],
      [float32ToHalfBits(2 ** -25 * 1.001), 1],
      [float32ToHalfBits(-0), 0x8000],
      [float32ToHalfBits(Number.NEGATIVE_INFINITY), 0xfc00],
      [float32ToHalfBits(Number.NaN), 0x7e00],
      [float32ToBFloat16Bits(1 + 2 ** -8), 0x3f80],
      [float32ToBFloat16Bits(1 + 3 * 2 ** -8), 0x3f82],
      [float32ToBFloat16Bits(3.4028234663852886e38), 0x7f80],
      [float32ToBFloat16Bits(2 ** -149), 0],
      [float32ToFloat8E4M3Bits(448), 0x7e],
      [float32ToFloat8E4M3Bits(464), 0x7e],
      [float32ToFloat8E4M3Bits(465), 0x7f],
      [float32ToFloat8E4M3Bits(Number.POSITIVE_INFINITY), 0x7f],
      [float32ToFloat8E5M2Bits(57344), 0x7b],
      [float32ToFloat8E5M2Bits(61440), 0x7c],
      [float32ToFloat8E5M2Bits(Number.NaN), 0x7f],
      [smallFloatBits('F8_E4M3FNUZ', -0), 0],
      [smallFloatBits('F8_E4M3FNUZ', 1e9), 0x80],
    ];
    for (const [actual, expected] of corners) expect(actual).toBe(expected);
    const values = [0x0001, 0x03ff, 0x7c00, 0xfc00, 0x3555].map(halfBitsToFloat32);
    expect(values).toEqual([
      2 ** -24,
      1023 * 2 ** -24,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      0.333251953125,
    ]);
    expect(bfloat16BitsToFloat32(0x0001)).toBe(2 ** -133);
    expect(float8E4M3BitsToFloat32(0xfe)).toBe(-448);
    expect(float8E5M2BitsToFloat32(0x01)).toBe(2 ** -16);
    expect(smallFloatValue('F8_E5M2FNUZ', 0x80)).toBeNaN();
  });

  it('rounds a float32 to half exactly once (never through float64 values that are no float32)', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, min: -70000, max: 70000 }), (value) => {
        const rounded = halfBitsToFloat32(float32ToHalfBits(value));
        if (!Number.isFinite(rounded)) return Math.abs(value) >= 65520;
        const step = 2 ** (Math.max(Math.floor(Math.log2(Math.abs(value) || 1)), -14) - 10);
        return Math.abs(rounded - value) <= step / 2;
      }),
    );
  });
});

const bytesOf = (array: TensorArray): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
const tensor = (dtype: SafetensorsDtype, array: TensorArray): TensorEntry => ({
  dtype,
  shape: [array.length],
  data: bytesOf(array),
});

const ARRAYS: [SafetensorsDtype, TensorArray, number[]][] = [
  ['F64', Float64Array.of(0.1, Number.NEGATIVE_INFINITY), [Math.fround(0.1), Number.NEGATIVE_INFINITY]],
  ['F32', Float32Array.of(1.5, Number.NaN), [1.5, Number.NaN]],
  ['F16', Uint16Array.of(0x3c00, 0x8001), [1, -(2 ** -24)]],
  ['BF16', Uint16Array.of(0x3f80, 0x7f80), [1, Number.POSITIVE_INFINITY]],
  ['I64', BigInt64Array.of(-3n, 2n ** 40n), [-3, 2 ** 40]],
  ['U64', BigUint64Array.of(3n, 2n ** 63n), [3, 2 ** 63]],
  ['I32', Int32Array.of(-5, 16777217), [-5, 16777216]],
  ['U32', Uint32Array.of(5, 2 ** 31), [5, 2 ** 31]],
  ['I16', Int16Array.of(-7, 7), [-7, 7]],
  ['U16', Uint16Array.of(7, 65535), [7, 65535]],
  ['I8', Int8Array.of(-9, 9), [-9, 9]],
  ['U8', Uint8Array.of(9, 255), [9, 255]],
  ['BOOL', Uint8Array.of(0, 2), [0, 1]],
  ['F8_E4M3', Uint8Array.of(0x38, 0xfe), [1, -448]],
  ['F8_E5M2', Uint8Array.of(0x3c, 0x7c), [1, Number.POSITIVE_INFINITY]],
  ['F8_E4M3FNUZ', Uint8Array.of(0x40, 0x7f), [1, 240]],
  ['F8_E5M2FNUZ', Uint8Array.of(0x40, 0x80), [1, Number.NaN]],
  ['F8_E8M0', Uint8Array.of(127, 0, 255), [1, 2 ** -127, Number.NaN]],
];

describe('typed arrays', () => {
  it('has a case for every real dtype', () => {
    expect([...ARRAYS.map(([dtype]) => dtype), 'C64'].sort()).toEqual([...SAFETENSORS_DTYPES].sort());
  });

  it.each(ARRAYS)('%s: view, misaligned copy and float32', (dtype, array, floats) => {
    const aligned = tensor(dtype, array);
    expect(asTypedArray(aligned)).toEqual(array);
    expect(asTypedArray(aligned).buffer).toBe(array.buffer);
    const shifted = new Uint8Array(array.byteLength + 1);
    shifted.set(aligned.data, 1);
    expect(asTypedArray({ ...aligned, data: shifted.subarray(1) })).toEqual(array);
    expect([...toFloat32(aligned)]).toEqual(floats);
  });

  it('gives complex numbers as pairs and refuses to make them real', () => {
    const complex: TensorEntry = { dtype: 'C64', shape: [1], data: bytesOf(Float32Array.of(1, -2)) };
    expect([...asTypedArray(complex)]).toEqual([1, -2]);
    expect(() => toFloat32(complex)).toThrow('toFloat32: expected a real dtype, received C64');
  });

  it('refuses data of another size than the shape', () => {
    const wrong: TensorEntry = { dtype: 'F32', shape: [3], data: new Uint8Array(8) };
    expect(() => asTypedArray(wrong)).toThrow('expected 12 bytes for F32 [3], received 8');
  });
});

describe('fromFloat32', () => {
  it.each(['F32', 'F64', 'F16', 'BF16', 'F8_E4M3', 'F8_E5M2'] as const)('%s and back', (dtype) => {
    const entry = fromFloat32(Float32Array.of(0, -1.5, 2, 0.25), dtype, [2, 2]);
    expect(entry.data.byteLength).toBe(4 * elementBytes(dtype));
    expect([...toFloat32(entry)]).toEqual([0, -1.5, 2, 0.25]);
  });

  it('refuses a shape of another size', () => {
    const message = 'fromFloat32: expected 6 values for shape [2, 3], received 4';
    expect(() => fromFloat32(new Float32Array(4), 'F16', [2, 3])).toThrow(message);
  });
});
