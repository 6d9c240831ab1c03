// Protobuf written by hand, for what no writer of ONNX writes. Field numbers are those of onnx.proto.

export type Bytes = readonly number[];

export function varint(value: number | bigint): Bytes {
  let rest = BigInt(value);
  const bytes = [];
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return [...bytes, Number(rest)];
}

/** A message, or bytes. */
export const bytesField = (number: number, content: Bytes): Bytes => [
  ...varint(number * 8 + 2),
  ...varint(content.length),
  ...content,
];

export const numberField = (number: number, value: number | bigint): Bytes => [
  ...varint(number * 8),
  ...varint(value),
];

export const textField = (number: number, text: string): Bytes =>
  bytesField(number, [...new TextEncoder().encode(text)]);

const entry = (key: string, value: string): Bytes =>
  bytesField(13, [...textField(1, key), ...textField(2, value)]);

/** A tensor of 4 bytes that lie in a file. */
export const tensorIn = (file: string): Bytes => [
  ...numberField(1, 4),
  ...numberField(2, 2),
  ...textField(8, 'w'),
  ...entry('location', file),
  ...entry('offset', '0'),
  ...entry('length', '4'),
  ...numberField(14, 1),
];

/** A tensor with its own bytes. */
export const plainTensor: Bytes = [
  ...numberField(1, 4),
  ...numberField(2, 2),
  ...textField(8, 'v'),
  ...bytesField(9, [1, 2, 3, 4]),
];

export const inAttribute = (field: number, content: Bytes): Bytes =>
  bytesField(5, [...textField(1, 'value'), ...bytesField(field, content)]);

/** A model of one graph. */
export const modelWith = (graph: Bytes): Bytes => [...numberField(1, 8), ...bytesField(7, graph)];
