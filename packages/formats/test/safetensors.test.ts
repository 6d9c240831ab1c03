import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  asTypedArray,
  blobSource,
  bytesSource,
  elementBytes,
  encodeSafetensors,
  openSafetensors,
  parseSafetensors,
  SafetensorsError,
  type SafetensorsErrorCode,
  safetensorsChunks,
  type TensorEntry,
  type WritableTensor,
} from '../src/index.js';
import { fileOf, metadataRecords, tensorMaps } from './safetensors-cases.js';

const float32 = (...values: number[]): TensorEntry => ({
  dtype: 'F32',
  shape: [values.length],
  data: new Uint8Array(Float32Array.from(values).buffer),
});
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

describe('writing', () => {
  it('gives exactly these bytes for a small file', () => {
    const bias: TensorEntry = { dtype: 'F16', shape: [2], data: Uint8Array.of(0x00, 0x3c, 0x00, 0xc0) };
    const file = encodeSafetensors({ bias, weight: float32(1) }, { format: 'pt' });
    const json =
      '{"__metadata__":{"format":"pt"},"weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},' +
      '"bias":{"dtype":"F16","shape":[2],"data_offsets":[4,8]}}';
    const padded = json.padEnd(Math.ceil(json.length / 8) * 8, ' ');
    expect([...file.subarray(0, 8)]).toEqual([padded.length, 0, 0, 0, 0, 0, 0, 0]);
    expect(text(file.subarray(8, 8 + padded.length))).toBe(padded);
    expect([...file.subarray(8 + padded.length)]).toEqual([0, 0, 0x80, 0x3f, 0, 0x3c, 0, 0xc0]);
  });

  it('writes an empty file as two braces', () => {
    expect(text(encodeSafetensors({}).subarray(8))).toBe('{}      ');
  });

  it('yields the tensors own bytes, and asks lazy data only when their turn comes', () => {
    const first = float32(1, 2);
    const asked: string[] = [];
    const lazy: WritableTensor = {
      dtype: 'F32',
      shape: [1],
      data: () => {
        asked.push('lazy');
        return new Uint8Array(4);
      },
    };
    const chunks = safetensorsChunks(
      new Map<string, WritableTensor>([
        ['z', lazy],
        ['a', first],
      ]),
    )[Symbol.iterator]();
    chunks.next();
    expect(chunks.next().value).toBe(first.data);
    expect(asked).toEqual([]);
    chunks.next();
    expect(asked).toEqual(['lazy']);
  });

  it('checks everything but lazy data before the first byte', () => {
    const wrong: TensorEntry = { dtype: 'F32', shape: [2], data: new Uint8Array(4) };
    expect(() => safetensorsChunks({ good: float32(1), wrong })).toThrow(SafetensorsError);
  });
});

describe('round trips', () => {
  it('keeps names, dtypes, shapes, bytes and metadata, and aligns every tensor', () => {
    fc.assert(
      fc.property(tensorMaps, metadataRecords, (tensors, metadata) => {
        const file = encodeSafetensors(tensors, metadata);
        const parsed = parseSafetensors(file);
        expect({ ...parsed.metadata }).toEqual(metadata);
        expect(new Map([...parsed.tensors].sort())).toEqual(new Map([...tensors].sort()));
        for (const { dtype, data } of parsed.tensors.values())
          expect(data.byteOffset % elementBytes(dtype)).toBe(0);
      }),
    );
  });

  it('writes the same bytes whatever the order of insertion, in chunks or at once', () => {
    fc.assert(
      fc.property(tensorMaps, metadataRecords, (tensors, metadata) => {
        const file = encodeSafetensors(tensors, metadata);
        const backwards = Object.fromEntries(Object.entries(metadata).reverse());
        expect(encodeSafetensors(new Map([...tensors].reverse()), backwards)).toEqual(file);
        expect(Buffer.concat([...safetensorsChunks(tensors, metadata)]).equals(file)).toBe(true);
      }),
    );
  });

  it('reads lazily what it reads whole, from bytes and from a Blob', async () => {
    await fc.assert(
      fc.asyncProperty(tensorMaps, metadataRecords, async (tensors, metadata) => {
        const file = Uint8Array.from(encodeSafetensors(tensors, metadata));
        const whole = parseSafetensors(file);
        for (const source of [bytesSource(file), blobSource(new Blob([file]))]) {
          const lazy = await openSafetensors(source);
          expect(lazy.metadata).toEqual(whole.metadata);
          expect([...lazy.entries.keys()]).toEqual([...whole.tensors.keys()]);
          for (const [name, entry] of whole.tensors) expect(await lazy.read(name)).toEqual(entry);
        }
      }),
      { numRuns: 30 },
    );
  });

  it('reads tensors that are not aligned (other writers) into typed arrays all the same', () => {
    const header =
      '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}}';
    const file = fileOf(header.padEnd(112), 5);
    new DataView(file.buffer).setFloat32(file.byteLength - 4, 2.5, true);
    expect([...asTypedArray(parseSafetensors(file).tensors.get('b')!)]).toEqual([2.5]);
  });

  it('opens a large file by its header only', async () => {
    const header = fileOf('{"big":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}');
    const reads: number[] = [];
    const read = (offset: number, length: number) => {
      reads.push(length);
      return header.subarray(offset, offset + length);
    };
    const lazy = await openSafetensors({ size: header.byteLength + 2 ** 42, read });
    expect(lazy.entries.get('big')).toEqual({ dtype: 'F32', shape: [2 ** 40], byteLength: 2 ** 42 });
    expect(reads).toEqual([8, header.byteLength - 8]);
  });
});

const entry = (dtype: string, shape: string, offsets: string) =>
  `{"dtype":"${dtype}","shape":${shape},"data_offsets":${offsets}}`;
const one = (dtype: string, shape: string, offsets: string, dataBytes = 0) =>
  fileOf(`{"layer.weight":${entry(dtype, shape, offsets)}}`, dataBytes);
const lengthOnly = (length: bigint) => new Uint8Array(BigUint64Array.of(length).buffer);
const two = (first: string, second: string, dataBytes: number) =>
  fileOf(`{"a":${entry('U8', '[4]', first)},"b":${entry('U8', '[4]', second)}}`, dataBytes);

const BAD_FILES: [SafetensorsErrorCode, string, Uint8Array, RegExp][] = [
  ['file-too-small', 'seven bytes', new Uint8Array(7), /at least 8 bytes .* received 7/],
  [
    'header-too-large',
    'length 2^64 - 1',
    lengthOnly(2n ** 64n - 1n),
    /at most 100000000 bytes, received 18446744073709551615/,
  ],
  ['header-too-large', 'length over the limit', lengthOnly(100_000_001n), /received 100000001/],
  [
    'header-beyond-file',
    'length past the end',
    lengthOnly(1n),
    /inside the file \(0 bytes after the length\), received length 1/,
  ],
  ['header-not-object', 'empty header', lengthOnly(0n), /start with "\{", received nothing/],
  ['header-not-object', 'leading blank', fileOf(' {}'), /received byte 0x20/],
  ['header-not-object', 'array', fileOf('[]'), /received byte 0x5b/],
  ['header-not-utf8', 'broken UTF-8', fileOf(Uint8Array.of(0x7b, 0xff, 0x7d)), /UTF-8/],
  ['header-not-json', 'open brace', fileOf('{'), /at character 1/],
  ['header-not-json', 'text after the object', fileOf('{}x'), /expected the end of the text, received "x"/],
  ['header-not-json', 'deep nesting', fileOf(`{"a":${'['.repeat(100_000)}`), /at most 64 levels/],
  ['header-not-json', 'lone surrogate', fileOf('{"\\ud800":{}}'), /escape/],
  [
    'duplicate-key',
    'the same tensor twice',
    fileOf(`{"a":${entry('U8', '[0]', '[0,0]')},"a":${entry('U8', '[0]', '[0,0]')}}`),
    /"a" again/,
  ],
  ['duplicate-key', 'the same name by an escape', fileOf('{"a":1,"\\u0061":2}'), /"a" again/],
  ['duplicate-key', 'a key of an entry twice', fileOf('{"a":{"dtype":"U8","dtype":"I8"}}'), /"dtype" again/],
  [
    'invalid-metadata',
    'a number',
    fileOf('{"__metadata__":{"step":3}}'),
    /"step": expected a string, received 3/,
  ],
  [
    'invalid-metadata',
    'a list',
    fileOf('{"__metadata__":[]}'),
    /expected an object of strings, received \[\]/,
  ],
  ['invalid-entry', 'not an object', fileOf('{"a":3}'), /"a": expected an object, received 3/],
  [
    'invalid-entry',
    'no shape',
    fileOf('{"a":{"dtype":"U8","data_offsets":[0,0]}}'),
    /expected shape, received nothing/,
  ],
  [
    'invalid-entry',
    'unknown key',
    fileOf('{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"stride":[1]}}'),
    /received "stride"/,
  ],
  [
    'unknown-dtype',
    'a PyTorch name',
    one('float32', '[1]', '[0,4]', 4),
    /"layer.weight": .*F32.* received "float32"/,
  ],
  ['unknown-dtype', 'a name of Object', one('constructor', '[1]', '[0,4]', 4), /received "constructor"/],
  ['unsupported-dtype', 'below a byte', one('F4', '[2]', '[0,1]', 1), /received F4 .*below one byte/],
  ['invalid-shape', 'negative', one('F32', '[-1]', '[0,4]', 4), /received \[-1\]/],
  ['invalid-shape', 'fraction', one('F32', '[1.0]', '[0,4]', 4), /received \[1\.0\]/],
  [
    'invalid-shape',
    'beyond 2^53',
    one('U8', '[9007199254740993]', '[0,4]', 4),
    /received \[9007199254740993\]/,
  ],
  ['invalid-shape', 'not a list', one('F32', '4', '[0,4]', 4), /received 4/],
  [
    'shape-overflow',
    'product',
    one('U8', '[4294967296,4294967296]', '[0,0]'),
    /2\^53 - 1 bytes, received U8 \[4294967296, 4294967296\]/,
  ],
  ['shape-overflow', 'product times size', one('F64', '[4503599627370496]', '[0,0]'), /received F64/],
  ['shape-overflow', 'hidden by a zero', one('U8', '[4294967296,4294967296,0]', '[0,0]'), /received U8/],
  ['invalid-offsets', 'backwards', one('U8', '[0]', '[4,0]', 4), /begin <= end, received \[4, 0\]/],
  ['invalid-offsets', 'three', one('U8', '[0]', '[0,0,0]'), /received \[0, 0, 0\]/],
  ['invalid-offsets', 'negative', one('U8', '[0]', '[-1,0]'), /received \[-1, 0\]/],
  [
    'size-mismatch',
    'too few bytes',
    one('F32', '[2,3]', '[0,20]', 20),
    /expected 24 bytes for F32 \[2, 3\], received offsets 0 to 20 \(20 bytes\)/,
  ],
  [
    'not-contiguous',
    'hole',
    two('[0,4]', '[5,9]', 9),
    /"b": expected data to begin at 4, received 5 \(a hole\)/,
  ],
  ['not-contiguous', 'overlap', two('[0,4]', '[3,7]', 7), /received 3 \(an overlap\)/],
  ['not-contiguous', 'shared', two('[0,4]', '[0,4]', 4), /received 0 \(an overlap\)/],
  [
    'data-not-covered',
    'bytes left over',
    one('U8', '[4]', '[0,4]', 5),
    /expected 4 bytes of tensor data after the header, received 5/,
  ],
  ['data-not-covered', 'data missing', one('U8', '[4]', '[0,4]', 3), /received 3/],
];

describe('files that are wrong', () => {
  it.each(BAD_FILES)('%s: %s', async (code, _, file, message) => {
    const caught = failure(() => parseSafetensors(file));
    expect(caught.code).toBe(code);
    expect(caught.message).toMatch(message);
    expect(caught.message).not.toContain('\n');
    await expect(openSafetensors(bytesSource(file))).rejects.toMatchObject({ code });
  });

  it('short-read: a file that shrank while it was open', async () => {
    const file = encodeSafetensors({ a: float32(1, 2) });
    let end = file.byteLength;
    const lazy = await openSafetensors({
      size: end,
      read: (offset, length) => file.subarray(offset, Math.min(offset + length, end)),
    });
    end -= 1;
    await expect(lazy.read('a')).rejects.toMatchObject({
      code: 'short-read',
      message: expect.stringContaining('received 7'),
    });
  });

  it('unknown-tensor: with the name that was meant', async () => {
    const lazy = await openSafetensors(bytesSource(encodeSafetensors({ 'layer.weight': float32(1) })));
    const message =
      'expected the name of one of 1 tensors, received "layer.wieght", did you mean "layer.weight"?';
    await expect(lazy.read('layer.wieght')).rejects.toMatchObject({ code: 'unknown-tensor', message });
  });
});

const BAD_TENSORS: [SafetensorsErrorCode, string, Record<string, WritableTensor>][] = [
  ['invalid-name', '__metadata__ as a name', { __metadata__: float32(1) }],
  ['invalid-name', 'half a surrogate pair', { '\ud800': float32(1) }],
  ['unknown-dtype', 'a wrong dtype', { a: { ...float32(1), dtype: JSON.parse('"float32"') } }],
  ['invalid-shape', 'a fraction', { a: { ...float32(1), shape: [0.5] } }],
  ['shape-overflow', 'a huge shape', { a: { ...float32(1), shape: [2 ** 52] } }],
  ['size-mismatch', 'too few bytes', { a: { ...float32(1), shape: [2] } }],
  ['size-mismatch', 'too few lazy bytes', { a: { dtype: 'F32', shape: [2], data: () => new Uint8Array(4) } }],
  ['header-too-large', 'a name of 100 MB', { ['a'.repeat(100_000_000)]: float32(1) }],
];

describe('tensors that cannot be written', () => {
  it.each(BAD_TENSORS)('%s: %s', (code, _, tensors) => {
    expect(failure(() => encodeSafetensors(tensors)).code).toBe(code);
  });

  it('invalid-metadata: a value that is not text', () => {
    const caught = failure(() => encodeSafetensors({}, JSON.parse('{"step":3}')));
    expect([caught.code, caught.message]).toEqual([
      'invalid-metadata',
      '__metadata__: "step": expected Unicode text, received a value of type number',
    ]);
  });
});

function failure(action: () => unknown): SafetensorsError {
  try {
    action();
  } catch (error) {
    if (error instanceof SafetensorsError) return error;
    throw error;
  }
  throw new Error('expected a SafetensorsError, nothing was thrown');
}

const goldens = fileURLToPath(new URL('../../../../shared/goldens', import.meta.url));

describe.skipIf(!existsSync(goldens))('golden files (../shared/goldens)', () => {
  const files = existsSync(goldens) ? readdirSync(goldens, { recursive: true, encoding: 'utf8' }) : [];

  it.each(files.filter((file) => file.endsWith('.safetensors')))('%s', (file) => {
    const bytes = readFileSync(`${goldens}/${file}`);
    const { metadata, tensors } = parseSafetensors(bytes);
    expect(tensors.size).toBeGreaterThan(0);
    const again = parseSafetensors(encodeSafetensors(tensors, metadata));
    expect(again.metadata).toEqual(metadata);
    for (const [name, { dtype, shape, data }] of tensors) {
      expect(again.tensors.get(name)).toMatchObject({ dtype, shape });
      expect(Buffer.compare(again.tensors.get(name)!.data, data)).toBe(0);
    }
  });
});
