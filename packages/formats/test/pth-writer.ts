// A small writer of torch.save files for tests, every part of which can be wrong. Pickles are strings, one character a byte.

import { crc32 } from '../src/index.js';

/** Bytes by characters: `'\x80\x02N.'`. */
export const raw = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
const characters = (bytes: Uint8Array) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');

function little(value: number | bigint, bytes: number): string {
  const bits = BigInt.asUintN(8 * bytes, BigInt(value));
  return Array.from({ length: bytes }, (_, i) =>
    String.fromCharCode(Number((bits >> BigInt(8 * i)) & 255n)),
  ).join('');
}

// Pickled values

export const none = 'N';
export const text = (value: string) => {
  const bytes = new TextEncoder().encode(value);
  return `X${little(bytes.length, 4)}${characters(bytes)}`;
};
/** As Python 2 writes it. */
export const text2 = (value: string) => `U${String.fromCharCode(value.length)}${value}`;
export const integer = (value: number | bigint) => `\x8a\x09${little(value, 9)}`;
export const tuple = (...items: string[]) => `(${items.join('')}t`;
export const list = (...items: string[]) => `](${items.join('')}e`;
export const dict = (...pairs: (readonly [key: string, value: string])[]) => `}(${pairs.flat().join('')}u`;
/** A dict with text as keys. */
export const named = (members: Readonly<Record<string, string>>) =>
  dict(...Object.entries(members).map(([key, value]) => [text(key), value] as const));
export const global = (module: string, name: string) => `c${module}\n${name}\n`;
export const call = (type: string, ...args: string[]) => `${type}${tuple(...args)}R`;
export const pickle = (value: string) => raw(`\x80\x02${value}.`);

/** A storage of `elements` elements of torch's `type`: Float, Long. */
export const storage = (type: string, key: string, elements: number | bigint, ...view: string[]) =>
  `${tuple(text('storage'), global('torch', `${type}Storage`), text(key), text('cpu'), integer(elements), ...view)}Q`;

type Whole = number | bigint;
const hooks = call(global('collections', 'OrderedDict'));

export const tensor = (
  from: string,
  shape: readonly Whole[],
  stride: readonly Whole[],
  offset: Whole = 0,
  requiresGrad = '\x89',
) =>
  call(
    global('torch._utils', '_rebuild_tensor_v2'),
    from,
    integer(offset),
    tuple(...shape.map(integer)),
    tuple(...stride.map(integer)),
    requiresGrad,
    hooks,
  );

// Files

/** A storage in a file: its numbers, and how many there are of them. */
export interface WrittenStorage {
  readonly key: string;
  readonly elements: Whole;
  readonly data: Uint8Array;
}

/** The format since torch 1.6. */
export function zipFile(object: string, storages: readonly WrittenStorage[] = []): Uint8Array {
  return zipArchive(zipRecords(pickle(object), storages));
}

export function zipRecords(objectPickle: Uint8Array, storages: readonly WrittenStorage[]): ZipRecordSpec[] {
  return [
    { name: 'a/data.pkl', data: objectPickle },
    { name: 'a/byteorder', data: raw('little') },
    ...storages.map(({ key, data }) => ({ name: `a/data/${key}`, data })),
    { name: 'a/version', data: raw('3\n') },
  ];
}

/** The format before torch 1.6. */
export function legacyFile(
  object: string,
  storages: readonly WrittenStorage[] = [],
  machine = named({ protocol_version: integer(1001), little_endian: '\x88' }),
): Uint8Array {
  return joined(
    pickle(`\x8a\x0a${little(0x1950a86a20f9469cfc6cn, 10)}`),
    pickle(integer(1001)),
    pickle(machine),
    pickle(object),
    pickle(list(...storages.map(({ key }) => text(key)))),
    ...storages.flatMap(({ elements, data }) => [raw(little(elements, 8)), data]),
  );
}

export function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

// Zip archives

/** Fields of an entry that are other than they should be. */
interface HeaderFields {
  name: string;
  flags: number;
  method: number;
  crc: number;
  size: number;
  unpackedSize: number;
  extra: string;
}

export interface ZipRecordSpec {
  name: string;
  data: Uint8Array;
  /** Wrong in its own header, in the directory, or in both. */
  local?: Partial<HeaderFields>;
  central?: Partial<HeaderFields & { offset: number; disk: number }>;
}

export interface ArchiveEnd {
  /** Fields of the end that are other than they should be. */
  count?: Whole;
  size?: Whole;
  offset?: Whole;
  comment?: string;
  disk?: number;
  /** Both ends, as torch since 2.8 writes them. */
  zip64?: boolean;
}

/** Stored entries as torch writes them: sizes after the data, an extra field that aligns them. */
export function zipArchive(records: readonly ZipRecordSpec[], end: ArchiveEnd = {}): Uint8Array {
  const parts: Uint8Array[] = [];
  const central: Uint8Array[] = [];
  let position = 0;
  for (const { name, data, local, central: listed } of records) {
    const fields = { name, flags: 0x0808, method: 0, extra: '' };
    const sizes = { crc: crc32(data), size: data.length, unpackedSize: data.length };
    const before = { ...fields, crc: 0, size: 0, unpackedSize: 0, extra: 'FB\x02\x00ZZ', ...local };
    const entry = { ...fields, ...sizes, offset: position, disk: 0, ...listed };
    const written = joined(localHeader(before), data, raw(descriptor(sizes)));
    parts.push(written);
    central.push(centralHeader(entry));
    position += written.length;
  }
  const directory = joined(...central);
  const place = { count: records.length, size: directory.length, offset: position, ...end };
  return joined(...parts, directory, endOf(place, position + directory.length));
}

const utf8 = (name: string) => characters(new TextEncoder().encode(name));

function localHeader({ name, flags, method, crc, size, unpackedSize, extra }: HeaderFields): Uint8Array {
  const bytes = utf8(name);
  const sizes = little(crc, 4) + little(size, 4) + little(unpackedSize, 4);
  const lengths = little(bytes.length, 2) + little(extra.length, 2);
  return raw(
    `PK\x03\x04${little(0, 2)}${little(flags, 2)}${little(method, 2)}${little(0, 4)}${sizes}${lengths}${bytes}${extra}`,
  );
}

function centralHeader(entry: HeaderFields & { offset: number; disk: number }): Uint8Array {
  const bytes = utf8(entry.name);
  const sizes = little(entry.crc, 4) + little(entry.size, 4) + little(entry.unpackedSize, 4);
  const lengths = little(bytes.length, 2) + little(entry.extra.length, 2) + little(0, 2);
  return raw(
    `PK\x01\x02${little(0, 4)}${little(entry.flags, 2)}${little(entry.method, 2)}${little(0, 4)}${sizes}${lengths}` +
      `${little(entry.disk, 2)}${little(0, 6)}${little(entry.offset, 4)}${bytes}${entry.extra}`,
  );
}

const descriptor = ({ crc, size }: { crc: number; size: number }) =>
  `PK\x07\x08${little(crc, 4)}${little(size, 4)}${little(size, 4)}`;

function endOf(
  {
    count,
    size,
    offset,
    comment = '',
    disk = 0,
    zip64 = false,
  }: ArchiveEnd & Record<'count' | 'size' | 'offset', Whole>,
  at: number,
): Uint8Array {
  const long = `PK\x06\x06${little(44, 8)}${little(0, 4)}${little(disk, 8)}${little(count, 8)}${little(count, 8)}${little(size, 8)}${little(offset, 8)}`;
  const locator = `PK\x06\x07${little(0, 4)}${little(at, 8)}${little(1, 4)}`;
  const short = (value: Whole, bytes: number) => {
    const full = 2n ** BigInt(8 * bytes) - 1n;
    return little(BigInt(value) > full ? full : value, bytes);
  };
  return raw(
    `${zip64 ? long + locator : ''}PK\x05\x06${little(disk, 4)}${short(count, 2)}${short(count, 2)}` +
      `${short(size, 4)}${short(offset, 4)}${little(comment.length, 2)}${comment}`,
  );
}
