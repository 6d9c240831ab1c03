// TensorBoard event files: TFRecord framing around Event messages. Only the few protobuf fields that curves need are
// written, by hand. Field numbers: Event { 1 wall_time: double, 2 step: int64, 3 file_version: string, 5 summary };
// Summary { 1 value, repeated }; Summary.Value { 1 tag: string, 2 simple_value: float }.

/** The first record of a file. `wallTime` is in seconds since 1970. */
export function encodeFileVersion(wallTime: number): Uint8Array {
  return framed(concatenated([doubleField(1, wallTime), bytesField(3, utf8('brain.Event:2'))]));
}

/** One record with the values of one step, under their tags; NaN and infinities are kept. Throws `RangeError` for a bad step. */
export function encodeScalars(
  wallTime: number,
  step: number,
  scalars: Readonly<Record<string, number>>,
): Uint8Array {
  if (!Number.isSafeInteger(step) || step < 0) {
    throw new RangeError(`encodeScalars: expected a step of 0 to 2^53 - 1, received ${step}`);
  }
  const values = Object.entries(scalars).map(([tag, value]) =>
    bytesField(1, concatenated([bytesField(1, utf8(tag)), floatField(2, value)])),
  );
  const summary = bytesField(5, concatenated(values));
  return framed(concatenated([doubleField(1, wallTime), varintField(2, step), summary]));
}

/** TFRecord: length (uint64), its checksum, the data, their checksum; all little-endian. */
function framed(data: Uint8Array): Uint8Array {
  const record = new Uint8Array(8 + 4 + data.byteLength + 4);
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(data.byteLength), true);
  view.setUint32(8, maskedCrc32c(record.subarray(0, 8)), true);
  record.set(data, 12);
  view.setUint32(12 + data.byteLength, maskedCrc32c(data), true);
  return record;
}

/** TFRecord's mask: rotated right by 15 bits plus a constant, so that a checksum of a checksum is not degenerate. */
function maskedCrc32c(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** CRC-32C (Castagnoli, reflected polynomial 0x82f63b78), which is not the CRC-32 of zip and zlib. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

const WIRE_VARINT = 0;
const WIRE_64_BIT = 1;
const WIRE_BYTES = 2;
const WIRE_32_BIT = 5;

function key(field: number, wireType: number): Uint8Array {
  return Uint8Array.of(field * 8 + wireType);
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Uint8Array.of(...bytes, rest);
}

/** Protobuf leaves out a scalar that is zero. */
function varintField(field: number, value: number): Uint8Array {
  return value === 0 ? new Uint8Array() : concatenated([key(field, WIRE_VARINT), varint(value)]);
}

function bytesField(field: number, bytes: Uint8Array): Uint8Array {
  return concatenated([key(field, WIRE_BYTES), varint(bytes.byteLength), bytes]);
}

function doubleField(field: number, value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value, true);
  return concatenated([key(field, WIRE_64_BIT), bytes]);
}

function floatField(field: number, value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setFloat32(0, value, true);
  return concatenated([key(field, WIRE_32_BIT), bytes]);
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function concatenated(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((total, part) => total + part.byteLength, 0));
  let position = 0;
  for (const part of parts) {
    whole.set(part, position);
    position += part.byteLength;
  }
  return whole;
}
