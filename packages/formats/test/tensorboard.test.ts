import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeFileVersion, encodeScalars } from '../src/index.js';
import { crc32c } from '../src/tensorboard.js';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe('bytes, as TensorBoard 2 writes the same events', () => {
  it('file version', () => {
    expect(hex(encodeFileVersion(1.7e9))).toBe(
      '1800000000000000a37f4b220900000040fc54d9411a0d627261696e2e4576656e743a32eced8f9d',
    );
  });

  it('one scalar at step 0', () => {
    expect(hex(encodeScalars(1.7e9 + 0.5, 0, { loss: 5.5 }))).toBe(
      '1800000000000000a37f4b220900002040fc54d9412a0d0a0b0a046c6f7373150000b040d5b9673a',
    );
  });

  it('two scalars, one of them 0, at a step of two bytes', () => {
    expect(hex(encodeScalars(1.7e9 + 1, 300, { loss: 1.25, 'train/bpc': 0 }))).toBe(
      '2d000000000000003c418afb0900004040fc54d94110ac022a1f0a0b0a046c6f7373150000a03f0a100a09747261696e2f6270631500000000ae603ef1',
    );
  });

  it('CRC-32C of the usual check text and of 32 zeros (RFC 3720, appendix B.4)', () => {
    expect(crc32c(new TextEncoder().encode('123456789'))).toBe(0xe3069283);
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  });
});

it('writes events that decode to what went in', () => {
  const tags = fc.dictionary(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 200 }), fc.float(), {
    maxKeys: 5,
  });
  fc.assert(
    fc.property(fc.double({ noNaN: true }), fc.maxSafeNat(), tags, (wallTime, step, scalars) => {
      const event = decodeEvent(encodeScalars(wallTime, step, scalars));
      expect(event.wallTime).toBe(wallTime);
      expect(event.step).toBe(BigInt(step));
      expect(event.scalars).toEqual(Object.entries(scalars));
    }),
  );
});

it.each([-1, 0.5, Number.NaN, 2 ** 53])('refuses step %d', (step) => {
  expect(() => encodeScalars(0, step, {})).toThrow(
    `encodeScalars: expected a step of 0 to 2^53 - 1, received ${step}`,
  );
});

interface DecodedEvent {
  wallTime: number;
  step: bigint;
  scalars: [string, number][];
}

/** Takes one TFRecord apart, checksums included. */
function decodeEvent(record: Uint8Array): DecodedEvent {
  const view = new DataView(record.buffer, record.byteOffset);
  const length = Number(view.getBigUint64(0, true));
  expect(record.byteLength).toBe(length + 16);
  expect(view.getUint32(8, true)).toBe(masked(crc32c(record.subarray(0, 8))));
  expect(view.getUint32(12 + length, true)).toBe(masked(crc32c(record.subarray(12, 12 + length))));
  const event: DecodedEvent = { wallTime: 0, step: 0n, scalars: [] };
  for (const [field, value] of protobufFields(record.subarray(12, 12 + length))) {
    if (field === 1) event.wallTime = viewOf(value).getFloat64(0, true);
    if (field === 2) event.step = value as bigint;
    if (field === 5)
      event.scalars = protobufFields(value as Uint8Array).map(([, scalar]) =>
        decodeScalar(scalar as Uint8Array),
      );
  }
  return event;
}

function decodeScalar(bytes: Uint8Array): [string, number] {
  const fields = new Map(protobufFields(bytes));
  return [new TextDecoder().decode(fields.get(1) as Uint8Array), viewOf(fields.get(2)).getFloat32(0, true)];
}

function protobufFields(bytes: Uint8Array): [number, Uint8Array | bigint][] {
  const fields: [number, Uint8Array | bigint][] = [];
  let position = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[position++]!;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (position < bytes.length) {
    const key = Number(varint());
    const wireType = key & 7;
    if (wireType === 0) {
      fields.push([key >> 3, varint()]);
      continue;
    }
    const length = wireType === 1 ? 8 : wireType === 5 ? 4 : Number(varint());
    fields.push([key >> 3, bytes.subarray(position, position + length)]);
    position += length;
  }
  return fields;
}

function viewOf(value: Uint8Array | bigint | undefined): DataView {
  if (!(value instanceof Uint8Array)) throw new Error('expected bytes');
  return new DataView(value.buffer, value.byteOffset, value.byteLength);
}

function masked(crc: number): number {
  return Number(
    BigInt.asUintN(32, (((BigInt(crc) >> 15n) | (BigInt(crc) << 17n)) % 2n ** 32n) + 0xa282ead8n),
  );
}
