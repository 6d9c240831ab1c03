import { describe, expect, it } from 'vitest';
import {
  bytesSource,
  EXPANSION_ALLOWANCE,
  InertObject,
  MOST_PTH_DIMENSIONS,
  MOST_UNKNOWN_GLOBALS,
  MOST_ZIP_ENTRIES,
  openPth,
  PthError,
  type PthErrorCode,
} from '../src/index.js';
import {
  call,
  dict,
  global,
  integer,
  joined,
  legacyFile,
  list,
  named,
  none,
  pickle,
  raw,
  storage,
  tensor,
  text,
  tuple,
  type WrittenStorage,
  type ZipRecordSpec,
  zipArchive,
  zipFile,
  zipRecords,
} from './pth-writer.js';

const six: WrittenStorage = { key: '0', elements: 6, data: new Uint8Array(24) };
const floats = storage('Float', '0', 6);
const fine = named({ x: tensor(floats, [2, 3], [3, 1]) });
const formats = [
  ['zip', zipFile],
  ['legacy', legacyFile],
] as const;

/** Opens and reads everything. */
async function readAll(file: Uint8Array): Promise<void> {
  const pth = await openPth(bytesSource(file));
  for (const tensor of pth.tensors.values()) await pth.read(tensor);
}

async function refusal(file: Uint8Array): Promise<PthError> {
  const error = await readAll(file).then(
    () => 'no error',
    (reason: unknown) => reason,
  );
  if (!(error instanceof PthError)) throw error;
  expect(error.message).toMatch(/^.{1,600}$/);
  return error;
}

async function expectRefusal(file: Uint8Array, code: PthErrorCode, message: RegExp): Promise<void> {
  const error = await refusal(file);
  expect(error.message).toMatch(message);
  expect(error.code).toBe(code);
}

describe.each(formats)('%s format', (_, write) => {
  it('a command becomes an object without meaning, wherever it stands', async () => {
    const system = call(global('posix', 'system'), text('rm -rf ~/'));
    const twice = `${system}${tuple(text('again'))}R}${none}s`;
    const file = await openPth(
      bytesSource(write(named({ x: tensor(floats, [6], [1]), system, twice }), [six])),
    );
    expect(file.unknownGlobals).toEqual(['posix.system']);
    expect([...file.tensors.keys()]).toEqual(['x']);
    await expect(file.read('system')).rejects.toThrow(
      '"system": expected a tensor of plain numbers, received an object of "posix.system", of which only the name is known',
    );
  });

  it('objects take whatever is done to them', async () => {
    const odd = `${call(global('enum', 'getattr'), text('a'))}${tuple()}R](${integer(1)}eb(${integer(2)}e${integer(3)}a`;
    const object = `${odd}(${text('k')}${integer(4)}u`;
    const { object: value } = await openPth(bytesSource(write(object)));
    if (!(value instanceof InertObject)) throw new Error('expected an object');
    expect([value.state, value.items, value.entries.get('k')]).toEqual([[1], [2, 3], 4]);
  });

  it.each<[what: string, object: string, code: PthErrorCode, message: RegExp]>([
    [
      'a view that ends after its storage',
      named({ x: tensor(floats, [2, 3], [3, 1], 1) }),
      'invalid-tensor',
      /needs 28 bytes, received 24/,
    ],
    ['an offset beyond its storage', named({ x: tensor(floats, [], [], 6) }), 'invalid-tensor', /needs 28/],
    [
      'strides beyond counting',
      named({ x: tensor(floats, [2, 2], [2 ** 52, 2 ** 52]) }),
      'invalid-tensor',
      /needs 36028797018963970 bytes/,
    ],
    ['a negative stride', named({ x: tensor(floats, [2], [-1]) }), 'invalid-tensor', /whole numbers/],
    ['a negative offset', named({ x: tensor(floats, [2], [1], -1) }), 'invalid-tensor', /offset from 0/],
    ['an offset of 2^60', named({ x: tensor(floats, [2], [1], 2n ** 60n) }), 'invalid-tensor', /offset/],
    ['a size of 2^60', named({ x: tensor(floats, [2n ** 60n], [0]) }), 'invalid-tensor', /whole numbers/],
    [
      'sizes whose product is beyond counting, times none',
      named({ x: tensor(floats, [2 ** 40, 2 ** 40, 0], [0, 0, 0]) }),
      'invalid-tensor',
      /at most 2\^53 - 1 bytes/,
    ],
    [
      'an expanded tensor of 2^40 elements',
      named({ x: tensor(floats, [2 ** 40], [0]) }),
      'too-large',
      /at most 16 times the size of the file/,
    ],
    [
      'expanded tensors that are too large together',
      named({
        x: tensor(floats, [EXPANSION_ALLOWANCE / 8], [0]),
        y: tensor(floats, [EXPANSION_ALLOWANCE / 8], [0]),
        z: tensor(floats, [2 ** 20], [0]),
      }),
      'too-large',
      /at most 16 times/,
    ],
    [
      'too many dimensions',
      named({ x: tensor(floats, new Array(MOST_PTH_DIMENSIONS + 1).fill(1), new Array(65).fill(1)) }),
      'invalid-tensor',
      /at most 64 whole numbers/,
    ],
    ['fewer strides than sizes', named({ x: tensor(floats, [1, 1], [1]) }), 'invalid-tensor', /as many/],
    [
      'a shape that is none',
      named({ x: tensor(floats, [], []).replace('(t(t', '(tN') }),
      'invalid-tensor',
      /None/,
    ],
    [
      'a tensor without a storage',
      call(global('torch._utils', '_rebuild_tensor_v2'), integer(1)),
      'invalid-tensor',
      /expected the storage of a tensor, received 1/,
    ],
    [
      'a dtype that is none',
      call(global('torch._utils', '_rebuild_tensor_v3'), floats, integer(0), tuple(), tuple()),
      'invalid-tensor',
      /expected the dtype of a tensor, received nothing/,
    ],
    [
      'a storage of an unknown type',
      storage('Evil', '0', 6),
      'invalid-storage',
      /expected a storage of a known type, received the global "torch.EvilStorage"/,
    ],
    [
      'a persistent id of another kind',
      `${tuple(text('file'), text('/etc/passwd'))}Q`,
      'invalid-storage',
      /known type/,
    ],
    ['a persistent id that is no tuple', `${text('x')}Q`, 'invalid-storage', /received "x"/],
    ['a storage of 2^60 elements', storage('Float', '0', 2n ** 60n), 'invalid-storage', /number of elements/],
    ['fewer than no elements', storage('Float', '0', -1), 'invalid-storage', /number of elements/],
    [
      'a key that would break the line',
      storage('Float', '\n', -1),
      'invalid-storage',
      /^storage "\\n": expected/,
    ],
    ['a storage without a key', storage('Float', 'x'.repeat(65), 1), 'invalid-storage', /known type/],
    [
      'two tensors of one path',
      dict([integer(1), tensor(floats, [1], [1])], [text('1'), tensor(floats, [2], [1])]),
      'ambiguous-path',
      /expected one tensor at "1", received two/,
    ],
    ['lists without end', `${']'.repeat(300)}${'a'.repeat(299)}`, 'too-large', /at most 100 levels/],
    [
      'lists that double with every level',
      `]q\x00${Array.from({ length: 60 }, () => '0](h\x00h\x00eq\x00').join('')}`,
      'too-large',
      /at most 4194304 values/,
    ],
    [
      'a long key around many tensors',
      `${text('k'.repeat(2 ** 20))}q\x000${tensor(floats, [1], [1])}q\x010](${'h\x01'.repeat(100)}eq\x020}h\x00h\x02s`,
      'too-large',
      /paths of at most 67108864 characters/,
    ],
    [
      'names without end',
      `${Array.from({ length: MOST_UNKNOWN_GLOBALS + 1 }, (_, i) => `${global('m', `n${i}`)}0`).join('')}N`,
      'too-large',
      /at most 4096 names/,
    ],
    ['a long name', `${text('m'.repeat(2000))}${text('n')}\x93`, 'too-large', /names of at most 1024/],
    ['an opcode that is refused', 'S"x"\n', 'pickle', /STRING is not supported/],
    [
      'a namespace of numbers',
      `${call(global('argparse', 'Namespace'))}${integer(1)}b`,
      'pickle',
      /expected a dict/,
    ],
  ])('%s', async (_, object, code, message) => {
    await expectRefusal(write(object, object.includes('FloatStorage') ? [six] : []), code, message);
  });

  it('a function that calls itself is called once', async () => {
    const self = `${global('torch._tensor', '_rebuild_from_type_v2')}q\x000](h\x00Neq\x01h\x01a0`;
    const { object } = await openPth(bytesSource(write(`${self}h\x00(h\x00Nh\x01NtR`)));
    expect(object).toBeInstanceOf(InertObject);
  });

  it('a list that grows after it was a shape changes no tensor', async () => {
    const size = `](${integer(2)}eq\x05`;
    const grown = call(
      global('torch._utils', '_rebuild_tensor_v2'),
      floats,
      integer(0),
      size,
      tuple(integer(1)),
      '\x89',
      none,
    );
    const file = await openPth(
      bytesSource(write(named({ x: grown, y: `h\x05${integer(2 ** 40)}a` }), [six])),
    );
    expect((await file.read('x')).shape).toEqual([2]);
  });

  it('a file that is cut off is refused, wherever', async () => {
    const file = write(fine, [six]);
    for (let length = 0; length < file.length; length += 1) {
      const { code } = await refusal(file.subarray(0, length));
      expect(['not-pth', 'invalid-zip', 'short-read', 'pickle']).toContain(code);
    }
    await readAll(file);
  });

  it('a file that shrinks while it is open is noticed', async () => {
    const bytes = write(fine, [six]);
    let size = bytes.length;
    const file = await openPth({
      size,
      read: (offset, length) => bytes.subarray(Math.min(offset, size), Math.min(offset + length, size)),
    });
    size = 20;
    await expect(file.read('x')).rejects.toMatchObject({ code: 'short-read' });
  });
});

describe('legacy format', () => {
  it.each<[what: string, file: Uint8Array, code: PthErrorCode, message: RegExp]>([
    [
      'fewer numbers than the object says',
      legacyFile(fine, [{ ...six, elements: 5 }]),
      'invalid-storage',
      /storage "0": expected 6 elements, received 5/,
    ],
    [
      'a count of numbers beyond all files',
      legacyFile(fine, [{ ...six, elements: 2n ** 63n - 1n }]),
      'invalid-storage',
      /received 9223372036854775807/,
    ],
    [
      'a storage longer than the file',
      legacyFile(named({ x: tensor(storage('Float', '0', 2 ** 40), [6], [1]) }), [
        { ...six, elements: 2 ** 40 },
      ]),
      'short-read',
      /expected 4398046511104 bytes/,
    ],
    ['a storage that is not there', legacyFile(fine), 'invalid-storage', /storage "0": expected its numbers/],
    [
      'a storage of nobody',
      legacyFile(fine, [six, { ...six, key: '1' }]),
      'invalid-storage',
      /a key of the object/,
    ],
    ['a storage twice', legacyFile(fine, [six, six]), 'invalid-storage', /and once/],
    [
      'two sizes of one storage',
      legacyFile(list(floats, storage('Float', '0', 7)), [six]),
      'invalid-storage',
      /expected 24 bytes as before, received 28/,
    ],
    [
      'numbers of the other byte order',
      legacyFile(fine, [six], named({ little_endian: '\x89' })),
      'big-endian',
      /expected little_endian to be true, received false/,
    ],
    ['no word of the byte order', legacyFile(fine, [six], none), 'big-endian', /received nothing/],
  ])('%s', async (_, file, code, message) => {
    await expectRefusal(file, code, message);
  });

  it('another version of the format is refused', async () => {
    const file = legacyFile(fine, [six]);
    const at = file.findIndex((_, i) => file[i] === 0xe9 && file[i + 1] === 3);
    file[at] = 0xea;
    await expectRefusal(file, 'unsupported-version', /expected version 1001 of the format, received 1002/);
  });

  it('a key that is none is refused', async () => {
    const file = joined(legacyFile(fine).slice(0, -pickle(list()).length), pickle(list(integer(1))));
    await expectRefusal(file, 'invalid-storage', /expected the key of a storage, received 1/);
  });
});

describe('zip format', () => {
  const records = (change: (list: ZipRecordSpec[]) => void = () => {}) => {
    const all = zipRecords(pickle(fine), [six]);
    change(all);
    return all;
  };
  const changed = (index: number, change: Partial<ZipRecordSpec>) =>
    zipArchive(records((all) => Object.assign(all[index]!, change)));
  const [objectAt, orderAt, dataAt, versionAt] = [0, 1, 2, 3];

  it('the archive that the others are made from is fine', async () => {
    await readAll(zipArchive(records()));
  });

  it.each<[what: string, file: Uint8Array, code: PthErrorCode, message: RegExp]>([
    [
      'a storage larger than its record',
      zipFile(named({ x: tensor(storage('Float', '0', 7), [6], [1]) }), [six]),
      'invalid-storage',
      /storage "0": expected 28 bytes for 7 elements of float32, received 24/,
    ],
    ['a storage without a record', zipFile(fine), 'missing-record', /storage "0": expected its record/],
    ['no object', changed(objectAt, { name: 'a/other' }), 'missing-record', /expected a record "data.pkl"/],
    ['no version', changed(versionAt, { name: 'a/other' }), 'missing-record', /"version"/],
    ['a version to come', changed(versionAt, { data: raw('11\n') }), 'unsupported-version', /received "11"/],
    [
      'a version that is none',
      changed(versionAt, { data: raw('new') }),
      'unsupported-version',
      /received "new"/,
    ],
    [
      'the other byte order',
      changed(orderAt, { data: raw('big') }),
      'big-endian',
      /expected "little", received "big"/,
    ],
    ['a long byte order', changed(orderAt, { data: new Uint8Array(65) }), 'too-large', /at most 64 bytes/],
    [
      'damaged numbers',
      changed(dataAt, { central: { crc: 1 } }),
      'checksum',
      /"a\/data\/0": the checksum does not agree/,
    ],
    ['a damaged object', changed(objectAt, { central: { crc: 1 } }), 'checksum', /"a\/data.pkl"/],
    [
      'a compressed entry',
      changed(dataAt, { central: { method: 8 } }),
      'unsupported-zip',
      /received method 8/,
    ],
    ['an encrypted entry', changed(dataAt, { central: { flags: 1 } }), 'unsupported-zip', /flags 0x1 /],
    [
      'an entry compressed by its own word',
      changed(dataAt, { local: { method: 8 } }),
      'unsupported-zip',
      /method 8/,
    ],
    [
      'an entry that grows by unpacking',
      changed(dataAt, { central: { unpackedSize: 2 ** 31 } }),
      'invalid-zip',
      /expected 2147483648 stored bytes, received 24/,
    ],
    [
      'another name in the own header',
      changed(dataAt, { local: { name: 'a/data/1' } }),
      'invalid-zip',
      /own header/,
    ],
    ['a longer name there', changed(dataAt, { local: { name: 'a/data/00' } }), 'invalid-zip', /own header/],
    ['another size there', changed(dataAt, { local: { size: 4 } }), 'invalid-zip', /own header/],
    ['no size there and none behind', changed(dataAt, { local: { flags: 0 } }), 'invalid-zip', /own header/],
    ['another checksum there', changed(dataAt, { local: { crc: 4 } }), 'invalid-zip', /own header/],
    [
      'an extra field that pushes the data into the next entry',
      changed(dataAt, { local: { extra: 'x'.repeat(30), crc: 0 }, central: { size: 60, unpackedSize: 60 } }),
      'invalid-zip',
      /own header does not agree/,
    ],
    [
      'an entry inside another one',
      changed(versionAt, { central: { offset: 40 } }),
      'invalid-zip',
      /"a\/data.pkl": expected .* \(an overlap\)/,
    ],
    [
      'two entries at one place',
      changed(versionAt, { central: { offset: 0 } }),
      'invalid-zip',
      /\(an overlap\)/,
    ],
    [
      'an entry beyond the file',
      changed(versionAt, { central: { offset: 2 ** 31 } }),
      'invalid-zip',
      /overlap/,
    ],
    [
      'an entry larger than the file',
      changed(dataAt, { central: { size: 2 ** 31, unpackedSize: 2 ** 31 } }),
      'invalid-zip',
      /expected 2147483648 bytes after byte/,
    ],
    [
      'a 64-bit size that is not there',
      changed(dataAt, { central: { size: 0xffffffff } }),
      'invalid-zip',
      /expected 64-bit sizes/,
    ],
    [
      'a 64-bit size that is cut off',
      changed(dataAt, { central: { size: 0xffffffff, extra: '\x01\x00\x04\x00abcd' } }),
      'invalid-zip',
      /expected 64-bit sizes/,
    ],
    [
      'a 64-bit size beyond all files',
      changed(dataAt, {
        central: {
          size: 0xffffffff,
          unpackedSize: 0xffffffff,
          extra: `\x01\x00\x10\x00${'\xff'.repeat(16)}`,
        },
      }),
      'invalid-zip',
      /expected 18446744073709552000 bytes/,
    ],
    [
      'one name twice',
      zipArchive(records((all) => all.push({ name: 'a/data/0', data: new Uint8Array(24) }))),
      'invalid-zip',
      /expected every name once/,
    ],
    ['two folders', changed(dataAt, { name: 'b/data/0' }), 'invalid-zip', /expected one folder "a" for all/],
    ['no folder', changed(dataAt, { name: 'data' }), 'invalid-zip', /expected one folder/],
    ...['a/../../etc/passwd', '/etc/passwd', 'a//x', 'a/./x', 'a/data/', 'C:/x', 'a\\x', 'a/\x00x', ''].map(
      (name): [string, Uint8Array, PthErrorCode, RegExp] => [
        `the name ${JSON.stringify(name)}`,
        changed(versionAt, { name }),
        'invalid-zip',
        /expected a plain relative path as name/,
      ],
    ),
    ['an archive of nothing', zipArchive([]), 'missing-record', /"version"/],
    [
      'an entry on another disk',
      changed(dataAt, { central: { disk: 1 } }),
      'unsupported-zip',
      /several parts/,
    ],
    ['several disks', zipArchive(records(), { disk: 1 }), 'unsupported-zip', /several parts/],
    ['something behind the end', joined(zipArchive(records()), raw(' ')), 'invalid-zip', /last 22 bytes/],
    ['a comment', zipArchive(records(), { comment: 'x' }), 'invalid-zip', /last 22 bytes/],
    [
      'more entries than there are',
      zipArchive(records(), { count: 5 }),
      'invalid-zip',
      /a directory for 5 entries/,
    ],
    [
      'fewer entries than there are',
      zipArchive(records(), { count: 3 }),
      'invalid-zip',
      /directory to end after/,
    ],
    [
      '65535 entries',
      zipArchive(records(), { count: 65535 }),
      'invalid-zip',
      /a directory for 65535 entries/,
    ],
    [
      'entries beyond counting',
      zipArchive(records(), { count: 2n ** 60n, zip64: true }),
      'too-large',
      new RegExp(`at most ${MOST_ZIP_ENTRIES} entries`),
    ],
    [
      'a directory beyond all files',
      zipArchive(records(), { size: 2n ** 60n, zip64: true }),
      'too-large',
      /and 33554432 bytes/,
    ],
    [
      'a directory elsewhere',
      zipArchive(records(), { offset: 4 }),
      'invalid-zip',
      /expected the directory to end/,
    ],
    [
      'a directory beyond the file',
      zipArchive(records(), { offset: 2n ** 60n, zip64: true }),
      'invalid-zip',
      /expected the directory to end/,
    ],
  ])('%s', async (_, file, code, message) => {
    await expectRefusal(file, code, message);
  });

  it('two ends that disagree are refused', async () => {
    const file = zipArchive(records(), { zip64: true });
    const end = new DataView(file.buffer, file.length - 22);
    for (const at of [8, 12, 16]) {
      const value = end.getUint16(at, true);
      if (at === 8) end.setUint16(10, value + 1, true);
      end.setUint16(at, value + 1, true);
      await expectRefusal(file, 'invalid-zip', /expected both ends of the archive to tell the same/);
      end.setUint16(at, value, true);
      if (at === 8) end.setUint16(10, value, true);
    }
    await readAll(file);
    file[file.length - 22 - 20 - 56] = 0;
    await expectRefusal(file, 'invalid-zip', /expected the zip64 end right before its locator/);
  });

  it('an entry of the directory that is cut off is refused', async () => {
    const file = zipArchive(records());
    const last = file.findLastIndex((_, i) => file[i] === 0x50 && file[i + 2] === 1 && file[i + 3] === 2);
    file[last + 28] = 200;
    await expectRefusal(file, 'invalid-zip', /expected 200 more bytes/);
    file[last] = 0;
    await expectRefusal(file, 'invalid-zip', /expected an entry at byte 167 of the directory/);
  });

  it('bytes that are no name are refused', async () => {
    const file = zipArchive(records());
    const name = raw('a/version');
    const at = file.findLastIndex((_, i) => name.every((byte, j) => file[i + j] === byte));
    file[at] = 0xff;
    await expectRefusal(file, 'invalid-zip', /expected names in UTF-8/);
  });
});
