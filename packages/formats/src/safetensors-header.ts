// The JSON header of a safetensors file: every promise it makes is checked before any data is touched.

import { quoted, shapeText } from './describe-value.js';
import {
  checkedByteLength,
  isSafetensorsDtype,
  SAFETENSORS_DTYPES,
  type SafetensorsDtype,
  SUB_BYTE_DTYPES,
} from './dtypes.js';
import { JsonError, JsonNumber, type JsonObject, type JsonValue, parseJson } from './json.js';
import { SafetensorsError } from './safetensors-error.js';

export const LENGTH_BYTES = 8;
/** The limit of the reference implementation, in bytes. */
export const LARGEST_HEADER = 100_000_000;
export const METADATA_KEY = '__metadata__';

/** Where a tensor lies; `begin` and `end` count bytes from the end of the header. */
export interface TensorInfo {
  dtype: SafetensorsDtype;
  shape: number[];
  begin: number;
  end: number;
}

export interface SafetensorsHeader {
  metadata: Record<string, string>;
  /** In the order of the data. */
  tensors: Map<string, TensorInfo>;
}

/** Bytes of the header, from the first 8 bytes of the file and the size of the whole file. */
export function headerLength(start: Uint8Array, fileSize: number): number {
  if (fileSize < LENGTH_BYTES || start.byteLength < LENGTH_BYTES) {
    const size = Math.min(fileSize, start.byteLength);
    throw new SafetensorsError(
      'file-too-small',
      `expected at least 8 bytes of header length, received ${size}`,
    );
  }
  const length = new DataView(start.buffer, start.byteOffset, LENGTH_BYTES).getBigUint64(0, true);
  if (length > BigInt(LARGEST_HEADER)) {
    throw new SafetensorsError(
      'header-too-large',
      `expected a header of at most ${LARGEST_HEADER} bytes, received ${length}`,
    );
  }
  const room = fileSize - LENGTH_BYTES;
  if (length > BigInt(room)) {
    const message = `expected a header inside the file (${room} bytes after the length), received length ${length}`;
    throw new SafetensorsError('header-beyond-file', message);
  }
  return Number(length);
}

/** Reads and checks a header. `dataBytes` is what the file holds after it. */
export function parseHeader(bytes: Uint8Array, dataBytes: number): SafetensorsHeader {
  const root = headerObject(bytes);
  const found: [string, TensorInfo][] = [];
  for (const [name, value] of root) {
    if (name !== METADATA_KEY) found.push([name, tensorInfo(name, value)]);
  }
  found.sort(([, left], [, right]) => left.begin - right.begin || left.end - right.end);
  checkCoverage(found, dataBytes);
  return { metadata: metadataOf(root.get(METADATA_KEY)), tensors: new Map(found) };
}

function headerObject(bytes: Uint8Array): JsonObject {
  if (bytes[0] !== 0x7b) {
    const first = bytes[0] === undefined ? 'nothing' : `byte 0x${bytes[0].toString(16).padStart(2, '0')}`;
    throw new SafetensorsError(
      'header-not-object',
      `expected the header to start with "{", received ${first}`,
    );
  }
  try {
    const value = parseJson(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
    if (value instanceof Map) return value;
    throw new SafetensorsError('header-not-object', 'expected the header to be a JSON object');
  } catch (error) {
    if (error instanceof SafetensorsError) throw error;
    if (!(error instanceof JsonError))
      throw new SafetensorsError('header-not-utf8', 'expected a header in UTF-8, received other bytes');
    const code = error.problem === 'duplicate-key' ? 'duplicate-key' : 'header-not-json';
    throw new SafetensorsError(code, `header: ${error.message}`);
  }
}

function metadataOf(value: JsonValue | undefined): Record<string, string> {
  const metadata: Record<string, string> = Object.create(null);
  if (value === undefined) return metadata;
  if (!(value instanceof Map))
    throw invalidMetadata(`expected an object of strings, received ${jsonText(value)}`);
  for (const [key, text] of value) {
    if (typeof text !== 'string')
      throw invalidMetadata(`${quoted(key)}: expected a string, received ${jsonText(text)}`);
    metadata[key] = text;
  }
  return metadata;
}

function invalidMetadata(message: string): SafetensorsError {
  return new SafetensorsError('invalid-metadata', `${METADATA_KEY}: ${message}`);
}

const ENTRY_KEYS = ['dtype', 'shape', 'data_offsets'];

function tensorInfo(name: string, value: JsonValue): TensorInfo {
  const where = `tensor ${quoted(name)}`;
  if (!(value instanceof Map)) {
    throw new SafetensorsError('invalid-entry', `${where}: expected an object, received ${jsonText(value)}`);
  }
  checkEntryKeys(where, value);
  const dtype = checkedDtype(where, value.get('dtype'));
  const shape = checkedShape(where, value.get('shape'));
  const [begin, end] = checkedOffsets(where, value.get('data_offsets'));
  const bytes = tensorBytes(where, dtype, shape);
  if (bytes !== end - begin) {
    const message = `${where}: expected ${bytes} bytes for ${dtype} ${shapeText(shape)}, received offsets ${begin} to ${end} (${end - begin} bytes)`;
    throw new SafetensorsError('size-mismatch', message);
  }
  return { dtype, shape, begin, end };
}

function checkEntryKeys(where: string, entry: JsonObject): void {
  const missing = ENTRY_KEYS.find((key) => !entry.has(key));
  if (missing !== undefined)
    throw new SafetensorsError('invalid-entry', `${where}: expected ${missing}, received nothing`);
  const unknown = [...entry.keys()].find((key) => !ENTRY_KEYS.includes(key));
  if (unknown === undefined) return;
  const message = `${where}: expected only ${ENTRY_KEYS.join(', ')}, received ${quoted(unknown)}`;
  throw new SafetensorsError('invalid-entry', message);
}

function checkedDtype(where: string, value: JsonValue | undefined): SafetensorsDtype {
  if (typeof value === 'string' && isSafetensorsDtype(value)) return value;
  if (typeof value === 'string' && SUB_BYTE_DTYPES.has(value)) {
    const message = `${where}: expected a dtype of whole bytes, received ${value} (elements below one byte are not supported)`;
    throw new SafetensorsError('unsupported-dtype', message);
  }
  const known = [...SAFETENSORS_DTYPES].reverse().join(', ');
  throw new SafetensorsError(
    'unknown-dtype',
    `${where}: expected a dtype of ${known}, received ${jsonText(value)}`,
  );
}

function checkedShape(where: string, value: JsonValue | undefined): number[] {
  const shape = wholeNumbers(value);
  if (shape !== undefined) return shape;
  const message = `${where}: expected a shape of whole numbers from 0 to 2^53 - 1, received ${jsonText(value)}`;
  throw new SafetensorsError('invalid-shape', message);
}

function checkedOffsets(where: string, value: JsonValue | undefined): [number, number] {
  const [begin, end, ...rest] = wholeNumbers(value) ?? [];
  if (begin !== undefined && end !== undefined && rest.length === 0 && begin <= end) return [begin, end];
  const message = `${where}: expected data_offsets of two whole numbers, begin <= end, received ${jsonText(value)}`;
  throw new SafetensorsError('invalid-offsets', message);
}

function wholeNumbers(value: JsonValue | undefined): number[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const numbers: number[] = [];
  for (const item of value) {
    const number = item instanceof JsonNumber ? item.wholeNumber() : undefined;
    if (number === undefined) return undefined;
    numbers.push(number);
  }
  return numbers;
}

/** Bytes of a tensor; throws `shape-overflow` where the product cannot be counted. */
export function tensorBytes(where: string, dtype: SafetensorsDtype, shape: readonly number[]): number {
  const bytes = checkedByteLength(dtype, shape);
  if (bytes !== undefined) return bytes;
  const message = `${where}: expected at most 2^53 - 1 bytes, received ${dtype} ${shapeText(shape)}`;
  throw new SafetensorsError('shape-overflow', message);
}

/** Tensors in order of their offsets must follow each other without holes or overlap and end where the file ends. */
function checkCoverage(tensors: readonly [string, TensorInfo][], dataBytes: number): void {
  let position = 0;
  for (const [name, { begin, end }] of tensors) {
    if (begin !== position) {
      const kind = begin > position ? 'a hole' : 'an overlap';
      const message = `tensor ${quoted(name)}: expected data to begin at ${position}, received ${begin} (${kind})`;
      throw new SafetensorsError('not-contiguous', message);
    }
    position = end;
  }
  if (position === dataBytes) return;
  const message = `expected ${position} bytes of tensor data after the header, received ${dataBytes}`;
  throw new SafetensorsError('data-not-covered', message);
}

function jsonText(value: JsonValue | undefined): string {
  if (value === undefined) return 'nothing';
  if (value instanceof Map) return 'an object';
  if (value instanceof JsonNumber) return value.text.slice(0, 40);
  if (typeof value === 'string') return quoted(value);
  if (!Array.isArray(value)) return String(value);
  const more = value.length > 8 ? ', ...' : '';
  return `[${value
    .slice(0, 8)
    .map((item) => (Array.isArray(item) ? 'an array' : jsonText(item)))
    .join(', ')}${more}]`;
}
