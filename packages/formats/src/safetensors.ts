// safetensors: 8 bytes of little-endian header length, a JSON header (name -> dtype, shape, data_offsets), then the raw
// little-endian data of all tensors. Read whole, read lazily, and written in the order and layout of the reference writer.

import { type ByteSource, readExactly } from './byte-source.js';
import { closestName } from './closest-name.js';
import { quoted, shapeText } from './describe-value.js';
import { dtypeRank, isSafetensorsDtype, type SafetensorsDtype, type TensorEntry } from './dtypes.js';
import { hasLoneSurrogate } from './json.js';
import { SafetensorsError } from './safetensors-error.js';
import {
  headerLength,
  LARGEST_HEADER,
  LENGTH_BYTES,
  METADATA_KEY,
  parseHeader,
  type TensorInfo,
  tensorBytes,
} from './safetensors-header.js';

/** A whole file in memory. */
export interface SafetensorsFile {
  metadata: Record<string, string>;
  tensors: Map<string, TensorEntry>;
}

/** Checks and opens a file in memory; the tensors' data are views of `bytes`. Throws `SafetensorsError`. */
export function parseSafetensors(bytes: Uint8Array): SafetensorsFile {
  const dataStart = LENGTH_BYTES + headerLength(bytes, bytes.byteLength);
  const header = parseHeader(bytes.subarray(LENGTH_BYTES, dataStart), bytes.byteLength - dataStart);
  const tensors = new Map<string, TensorEntry>();
  for (const [name, { dtype, shape, begin, end }] of header.tensors) {
    tensors.set(name, { dtype, shape, data: bytes.subarray(dataStart + begin, dataStart + end) });
  }
  return { metadata: header.metadata, tensors };
}

/** A file whose header was read and checked; tensors are read when they are asked for. */
export interface LazySafetensors {
  metadata: Record<string, string>;
  entries: Map<string, { dtype: SafetensorsDtype; shape: number[]; byteLength: number }>;
  /** Reads one tensor. Throws `unknown-tensor` or `short-read`. */
  read(name: string): Promise<TensorEntry>;
}

/** Reads the header only. Throws `SafetensorsError`. */
export async function openSafetensors(source: ByteSource): Promise<LazySafetensors> {
  const start = await readExactly(source, 0, Math.min(LENGTH_BYTES, source.size));
  const length = headerLength(start, source.size);
  const dataStart = LENGTH_BYTES + length;
  const header = parseHeader(await readExactly(source, LENGTH_BYTES, length), source.size - dataStart);
  const entries: LazySafetensors['entries'] = new Map();
  for (const [name, { dtype, shape, begin, end }] of header.tensors) {
    entries.set(name, { dtype, shape: [...shape], byteLength: end - begin });
  }
  const read = async (name: string): Promise<TensorEntry> => {
    const { dtype, shape, begin, end } = knownTensor(header.tensors, name);
    return { dtype, shape: [...shape], data: await readExactly(source, dataStart + begin, end - begin) };
  };
  return { metadata: header.metadata, entries, read };
}

function knownTensor(tensors: Map<string, TensorInfo>, name: string): TensorInfo {
  const info = tensors.get(name);
  if (info !== undefined) return info;
  const near = closestName(name, [...tensors.keys()]);
  const hint = near === undefined ? '' : `, did you mean ${quoted(near)}?`;
  const message = `expected the name of one of ${tensors.size} tensors, received ${quoted(name)}${hint}`;
  throw new SafetensorsError('unknown-tensor', message);
}

/** A tensor to be written. A function as `data` is called once, when its turn comes, so that not all need be in memory. */
export interface WritableTensor {
  dtype: SafetensorsDtype;
  shape: readonly number[];
  data: Uint8Array | (() => Uint8Array);
}

export type WritableTensors = ReadonlyMap<string, WritableTensor> | Readonly<Record<string, WritableTensor>>;

/**
 * The file as pieces to be written one after the other: length and header, then each tensor's own bytes (no copy).
 * Names, dtypes, shapes and sizes are checked before this returns; the size of lazy data when it comes.
 */
export function safetensorsChunks(
  tensors: WritableTensors,
  metadata: Readonly<Record<string, string>> = {},
): Iterable<Uint8Array> {
  const items = orderedItems(tensors);
  const header = encodedHeader(items, metadata);
  return chunksOf(header, items);
}

/** The file as one array. */
export function encodeSafetensors(
  tensors: WritableTensors,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const items = orderedItems(tensors);
  const header = encodedHeader(items, metadata);
  const file = new Uint8Array(items.reduce((total, { byteLength }) => total + byteLength, header.byteLength));
  let position = 0;
  for (const chunk of chunksOf(header, items)) {
    file.set(chunk, position);
    position += chunk.byteLength;
  }
  return file;
}

interface OrderedItem {
  name: string;
  tensor: WritableTensor;
  byteLength: number;
}

function* chunksOf(header: Uint8Array, items: readonly OrderedItem[]): Generator<Uint8Array> {
  yield header;
  for (const { name, tensor, byteLength } of items) {
    const data = typeof tensor.data === 'function' ? tensor.data() : tensor.data;
    checkDataSize(name, tensor, byteLength, data);
    yield data;
  }
}

/** Widest type first, then by name: with a padded header every tensor is then aligned to the size of its elements. */
function orderedItems(tensors: WritableTensors): OrderedItem[] {
  const pairs = tensors instanceof Map ? [...tensors] : Object.entries(tensors);
  return pairs
    .map(([name, tensor]) => checkedItem(name, tensor))
    .sort((a, b) => dtypeRank(b.tensor.dtype) - dtypeRank(a.tensor.dtype) || (a.name < b.name ? -1 : 1));
}

function checkedItem(name: string, tensor: WritableTensor): OrderedItem {
  const where = `tensor ${quoted(name)}`;
  if (name === METADATA_KEY || hasLoneSurrogate(name)) {
    throw new SafetensorsError(
      'invalid-name',
      `${where}: expected Unicode text other than ${METADATA_KEY} as name`,
    );
  }
  if (!isSafetensorsDtype(tensor.dtype)) {
    throw new SafetensorsError(
      'unknown-dtype',
      `${where}: expected a safetensors dtype, received ${quoted(String(tensor.dtype))}`,
    );
  }
  if (!tensor.shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
    const message = `${where}: expected a shape of whole numbers, received ${shapeText(tensor.shape)}`;
    throw new SafetensorsError('invalid-shape', message);
  }
  const byteLength = tensorBytes(where, tensor.dtype, tensor.shape);
  if (typeof tensor.data !== 'function') checkDataSize(name, tensor, byteLength, tensor.data);
  return { name, tensor, byteLength };
}

function checkDataSize(name: string, tensor: WritableTensor, expected: number, data: Uint8Array): void {
  if (data.byteLength === expected) return;
  const what = `${tensor.dtype} ${shapeText(tensor.shape)}`;
  const message = `tensor ${quoted(name)}: expected ${expected} bytes for ${what}, received ${data.byteLength}`;
  throw new SafetensorsError('size-mismatch', message);
}

/** Length and JSON, padded with spaces so that the data begin at a multiple of 8. */
function encodedHeader(
  items: readonly OrderedItem[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array {
  const json = new TextEncoder().encode(headerText(items, metadata));
  const length = Math.ceil(json.byteLength / 8) * 8;
  if (length > LARGEST_HEADER) {
    throw new SafetensorsError(
      'header-too-large',
      `expected a header of at most ${LARGEST_HEADER} bytes, received ${length}`,
    );
  }
  const header = new Uint8Array(LENGTH_BYTES + length).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(json, LENGTH_BYTES);
  return header;
}

/** Members are joined by hand: an object would move names such as "7" to the front and lose `__proto__`. */
function headerText(items: readonly OrderedItem[], metadata: Readonly<Record<string, string>>): string {
  const members = Object.keys(metadata).length === 0 ? [] : [`"${METADATA_KEY}":${metadataText(metadata)}`];
  let begin = 0;
  for (const { name, tensor, byteLength } of items) {
    const entry = { dtype: tensor.dtype, shape: tensor.shape, data_offsets: [begin, begin + byteLength] };
    members.push(`${JSON.stringify(name)}:${JSON.stringify(entry)}`);
    begin += byteLength;
  }
  return `{${members.join(',')}}`;
}

/** Keys in order, so that equal content gives equal bytes. */
function metadataText(metadata: Readonly<Record<string, string>>): string {
  const members = Object.keys(metadata)
    .sort()
    .map((key) => metadataMember(key, metadata[key]));
  return `{${members.join(',')}}`;
}

function metadataMember(key: string, value: unknown): string {
  if (typeof value === 'string' && !hasLoneSurrogate(key) && !hasLoneSurrogate(value)) {
    return `${JSON.stringify(key)}:${JSON.stringify(value)}`;
  }
  const kind = typeof value === 'string' ? 'half a surrogate pair' : `a value of type ${typeof value}`;
  throw new SafetensorsError(
    'invalid-metadata',
    `${METADATA_KEY}: ${quoted(key)}: expected Unicode text, received ${kind}`,
  );
}
