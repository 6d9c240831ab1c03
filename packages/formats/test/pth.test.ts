import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  asTypedArray,
  type ByteSource,
  bytesSource,
  elementBytes,
  InertObject,
  openPth,
  PickleDict,
  type PickleValue,
  type PthFile,
  PthNamespace,
  PthStorage,
  PthTensor,
} from '../src/index.js';
import { elementTypes, storageTypes } from '../src/pth/element-types.js';
import { expectGolden } from './pth-goldens.js';
import {
  call,
  global,
  integer,
  legacyFile,
  list,
  named,
  none,
  pickle,
  raw,
  storage,
  tensor,
  text,
  text2,
  tuple,
  type WrittenStorage,
  zipArchive,
  zipFile,
  zipRecords,
} from './pth-writer.js';

const fixtures = fileURLToPath(new URL('./fixtures/pth', import.meta.url));
const openFixture = (file: string) => openPth(bytesSource(readFileSync(`${fixtures}/${file}`)));
const formats = [
  ['zip', zipFile],
  ['legacy', legacyFile],
] as const;

/** A member by its path of text keys and places. */
function at(file: PthFile, ...path: (string | number)[]): PickleValue | undefined {
  let value: PickleValue | undefined = file.object;
  for (const key of path)
    value =
      value instanceof PickleDict ? value.get(key) : Array.isArray(value) ? value[Number(key)] : undefined;
  return value;
}

const floats = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);
const values = async (file: PthFile, path: string) => [...asTypedArray(await file.read(path))];

describe('golden files', () => {
  const pairs = ['odd_tensors', 'lra_fp16', 'torch'].flatMap((name) => [`${name}.pth`, `${name}.legacy.pth`]);
  it.each(pairs)('%s', (file) => expectGolden(fixtures, file));
});

const shared = fileURLToPath(new URL('../../../../shared/goldens/pth', import.meta.url));

describe.skipIf(!existsSync(shared))('golden files (../shared/goldens/pth)', () => {
  const files = existsSync(shared) ? readdirSync(shared).filter((file) => file.endsWith('.pth')) : [];
  it.each(files)('%s', (file) => expectGolden(shared, file));
});

describe('what torch 2.15 writes', () => {
  it.each(['torch.pth', 'torch.legacy.pth'])('%s: values beside the tensors', async (name) => {
    const file = await openFixture(name);
    expect(file.format).toBe(name === 'torch.pth' ? 'zip' : 'legacy');
    expect(file.hasChecksums).toBe(name === 'torch.pth');
    const numbers = at(file, 'numbers');
    if (!(numbers instanceof PickleDict)) throw new Error('expected a dict');
    expect(Object.fromEntries(numbers.entries())).toEqual({
      f8: 0.5,
      f4: -2,
      f2: 1.5,
      i8: -3,
      u8: 2n ** 64n - 1n,
      u1: 255,
      b1: true,
    });
    expect(at(file, 'size')).toEqual([2, 3]);
    expect(at(file, 'bytes')).toEqual(Uint8Array.of(0, 255));
    expect(at(file, 'no_bytes')).toEqual(new Uint8Array());
    expect(String(at(file, 'dtype'))).toBe('"torch.bfloat16"');
    expect(at(file, 'self')).toBe(file.object);
    const namespace = at(file, 'namespace');
    expect(namespace instanceof PthNamespace && namespace.entries.get('lr')).toBe(0.1);
    const lone = at(file, 'storage');
    expect(lone instanceof PthStorage && lone.byteLength).toBe(12);
  });

  it('objects of unknown classes are kept as they are, and listed', async () => {
    const file = await openFixture('torch.pth');
    const counts = at(file, 'counts');
    expect(counts instanceof InertObject && counts.entries.get('a')).toBe(1);
    const queue = at(file, 'queue');
    expect(queue instanceof InertObject && queue.items).toEqual([1, 2]);
    const set = at(file, 'set');
    expect(set instanceof InertObject && set.args).toEqual([[1]]);
    expect(file.unknownGlobals).toEqual([
      'numpy._core.multiarray._reconstruct',
      'numpy.ndarray',
      '__builtin__.set',
      'collections.defaultdict',
      '__builtin__.long',
      'collections.deque',
      'pathlib.PurePosixPath',
    ]);
  });

  it('parameters and tied tensors are seen', async () => {
    const file = await openFixture('torch.pth');
    const [first, second, third] = ['tied/0', 'tied/1', 'tied/2/0'].map((path) => file.tensors.get(path)!);
    expect([first?.isParameter, second?.isParameter]).toEqual([true, false]);
    expect([first?.requiresGrad, second?.requiresGrad]).toEqual([true, false]);
    expect(third).toBe(first);
    expect(second?.storage).toBe(first?.storage);
    expect(file.tensors.get('parameter')).toMatchObject({ isParameter: true, requiresGrad: false });
    expect(file.tensors.get('state/base')?.storage.key).toBe(file.tensors.get('state/permuted')?.storage.key);
    expect(file.tensors.get('state/base')?.storage.key).not.toBe(
      file.tensors.get('state/float32')?.storage.key,
    );
  });

  it.each([
    ['complex', 'a complex64 tensor'],
    ['negated', 'a lazily negated tensor'],
    ['sparse', 'a sparse tensor'],
    ['rows', 'a sparse tensor'],
    ['quantised', 'a quantised tensor'],
    ['nested', 'a nested tensor'],
    ['meta', 'a meta tensor'],
  ])('%s tensors are refused when they are read', async (path, what) => {
    const file = await openFixture('unsupported.pth');
    expect(await values(file, 'fine')).toEqual([1]);
    await expect(file.read(path)).rejects.toMatchObject({
      code: 'unsupported-tensor',
      message: `"${path}": expected a tensor of plain numbers, received ${what}, which is not supported`,
    });
  });

  it.each([
    ['module.pth', 'net/weight', '"net"'],
    ['module.legacy.pth', 'weight', '""'],
  ])('%s: a whole model is named, not built', async (name, path, where) => {
    const file = await openFixture(name);
    expect(file.tensors.size).toBe(0);
    expect(file.unknownGlobals).toContain('torch.nn.modules.linear.Linear');
    await expect(file.read(path)).rejects.toThrow(
      `${where}: expected a tensor of plain numbers, received a whole model of class "torch.nn.modules.linear.Linear", which cannot be read: save its state_dict() instead`,
    );
  });

  it('a lone tensor has the empty path', async () => {
    expect(await values(await openFixture('lone.pth'), '')).toEqual([0, 1, 2]);
  });

  it('an archive without checksums is read, and says so', async () => {
    const file = await openFixture('no-checksums.pth');
    expect(file.hasChecksums).toBe(false);
    expect(await values(file, 'w')).toEqual([0, 1, 2]);
  });

  it('a TorchScript program is refused by name', async () => {
    await expect(openFixture('script.pt')).rejects.toMatchObject({
      code: 'torchscript',
      message: 'expected weights saved by torch.save, received a TorchScript program (torch.jit.save)',
    });
  });
});

describe.each(formats)('%s format', (_, write) => {
  const readable = [...storageTypes].filter(
    ([name, { dtype }]) => dtype !== null && name !== 'UntypedStorage',
  );

  /** A storage of random bits and some views into it, overlapping or not. */
  const cases = fc
    .record({
      type: fc.constantFrom(...readable),
      elements: fc.integer({ min: 1, max: 40 }),
      shapes: fc.array(
        fc.record({
          sizes: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }),
          strides: fc.array(fc.nat({ max: 9 }), { minLength: 4, maxLength: 4 }),
          offset: fc.nat({ max: 12 }),
        }),
        { maxLength: 4 },
      ),
    })
    .chain(({ type: [name, { bytes }], elements, shapes }) =>
      fc.record({
        name: fc.constant(name),
        elements: fc.constant(elements),
        shapes: fc.constant(shapes),
        data: fc.uint8Array({ minLength: elements * bytes, maxLength: elements * bytes }),
      }),
    );

  it('views are read as they are, or refused where they leave their storage', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ name, elements, shapes, data }) => {
        const { dtype } = storageTypes.get(name)!;
        const size = elementBytes(dtype!);
        const from = storage(name.replace('Storage', ''), '7', elements);
        for (const { sizes, strides, offset } of shapes) {
          const stride = strides.slice(0, sizes.length);
          const indices = elementIndices(sizes, stride, offset);
          const file = write(named({ x: tensor(from, sizes, stride, offset) }), [
            { key: '7', elements, data },
          ]);
          if (indices.some((index) => index >= elements)) {
            await expect(openPth(bytesSource(file))).rejects.toMatchObject({ code: 'invalid-tensor' });
            continue;
          }
          const read = await (await openPth(bytesSource(file))).read('x');
          expect(read).toMatchObject({ dtype, shape: sizes });
          expect([...read.data]).toEqual(
            indices.flatMap((index) => [...data.subarray(index * size, (index + 1) * size)]),
          );
        }
      }),
      { numRuns: 150 },
    );
  });

  it('dicts of Python 2 and its texts are read', async () => {
    const key = tuple(
      text2('storage'),
      global('torch', 'FloatStorage'),
      text2('7'),
      text2('cpu'),
      integer(2),
    );
    const weight = call(
      global('torch._utils', '_rebuild_tensor'),
      `${key}Q`,
      integer(0),
      tuple(integer(2)),
      tuple(integer(1)),
    );
    const object = call(global('collections', 'OrderedDict'), list(list(text2('weight'), weight)));
    const file = await openPth(bytesSource(write(object, [{ key: '7', elements: 2, data: floats(3, 4) }])));
    expect(await values(file, 'weight')).toEqual([3, 4]);
    expect(file.unknownGlobals).toEqual([]);
  });

  it('a container that holds itself is entered once', async () => {
    const self = `]q\x00h\x00a${tensor(storage('Float', '0', 1), [], [])}a`;
    const file = await openPth(bytesSource(write(self, [{ key: '0', elements: 1, data: floats(5) }])));
    expect([...file.tensors.keys()]).toEqual(['1']);
    expect(file.object).toBe(Array.isArray(file.object) ? file.object[0] : undefined);
  });

  it('keys of any kind make a path', async () => {
    const one = tensor(storage('Float', '0', 1), [], []);
    const object = `}(${[integer(3), integer(-(2n ** 70n) / 2n ** 6n), '\x88', none, tuple(), text('a/b')]
      .map((key) => key + one)
      .join('')}u`;
    const file = await openPth(bytesSource(write(object, [{ key: '0', elements: 1, data: floats(5) }])));
    expect([...file.tensors.keys()]).toEqual(['3', '-18446744073709551616', 'True', 'None', '#4', 'a/b']);
  });

  it('only what is asked for is read', async () => {
    const data = new Uint8Array(2 ** 20);
    const object = named({ x: tensor(storage('Byte', '0', data.length), [4], [1], 9) });
    const bytes = write(object, [{ key: '0', elements: data.length, data }]);
    let read = 0;
    const source: ByteSource = {
      size: bytes.length,
      read: (offset, length) => {
        read += length;
        return bytes.subarray(offset, offset + length);
      },
    };
    const file = await openPth(source);
    expect(read).toBeLessThan(2 ** 18);
    await file.read('x');
    read = 0;
    expect((await file.read('x')).data.length).toBe(4);
    expect(read).toBe(4);
  });

  it('a tensor that is not there is named, with the nearest one that is', async () => {
    const object = named({ weight: tensor(storage('Float', '0', 1), [], []) });
    const bytes = write(object, [{ key: '0', elements: 1, data: floats(5) }]);
    const file = await openPth(bytesSource(bytes));
    await expect(file.read('wieght')).rejects.toMatchObject({
      code: 'unknown-tensor',
      message: 'expected the path of one of 1 tensors, received "wieght", did you mean "weight"?',
    });
    const other = await openPth(bytesSource(bytes));
    await expect(file.read(other.tensors.get('weight')!)).rejects.toMatchObject({ code: 'unknown-tensor' });
  });
});

/** The elements of a view in row-major order. */
function elementIndices(sizes: readonly number[], strides: readonly number[], offset: number): number[] {
  return sizes.reduce(
    (starts, size, d) =>
      starts.flatMap((start) => Array.from({ length: size }, (_, i) => start + i * strides[d]!)),
    [offset],
  );
}

describe('legacy format', () => {
  const data = { key: '9', elements: 6, data: floats(0, 1, 2, 3, 4, 5) } satisfies WrittenStorage;
  const view = (from: number, count: number) =>
    storage('Float', '9', 6, tuple(text('10'), integer(from), integer(count)));

  it('a view of a storage begins inside it', async () => {
    const object = named({
      whole: tensor(storage('Float', '9', 6, none), [6], [1]),
      part: tensor(view(2, 3), [2], [1], 1),
    });
    const file = await openPth(bytesSource(legacyFile(object, [data])));
    expect(await values(file, 'part')).toEqual([3, 4]);
    expect(file.tensors.get('part')?.storage).toMatchObject({ key: '9', byteOffset: 8, byteLength: 12 });
  });

  it('a view is no longer than its storage, a tensor no longer than its view', async () => {
    const open = (value: string) => openPth(bytesSource(legacyFile(named({ x: value }), [data])));
    await expect(open(tensor(view(4, 3), [1], [1]))).rejects.toMatchObject({ code: 'invalid-storage' });
    await expect(open(tensor(view(4, 2), [3], [1]))).rejects.toMatchObject({ code: 'invalid-tensor' });
  });

  it('the source of a class, as old files have it, is passed over', async () => {
    const source = `${tuple(text('module'), global('models', 'Net'), text('net.py'), text('class Net'))}Q`;
    const file = await openPth(bytesSource(legacyFile(call(source))));
    expect(file.unreadable.get('')).toBe('an object of "models.Net", of which only the name is known');
  });

  it('what follows the last storage is let be', async () => {
    const file = legacyFile(named({ x: tensor(storage('Float', '9', 6), [6], [1]) }), [data]);
    const longer = Uint8Array.from([...file, 1, 2, 3]);
    expect(await values(await openPth(bytesSource(longer)), 'x')).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it('a pickle of any length is read to its end', async () => {
    const many = list(...Array.from({ length: 20_000 }, (_, i) => text(`name ${i}`)));
    const object = named({ many, x: tensor(storage('Float', '9', 6), [6], [1]) });
    const file = await openPth(bytesSource(legacyFile(object, [data])));
    expect(await values(file, 'x')).toEqual([0, 1, 2, 3, 4, 5]);
  });
});

describe('zip format', () => {
  it('both ends of an archive are read', async () => {
    const records = zipRecords(pickle(named({ x: tensor(storage('Float', '0', 2), [2], [1]) })), [
      { key: '0', elements: 2, data: floats(1, 2) },
    ]);
    expect(await values(await openPth(bytesSource(zipArchive(records, { zip64: true }))), 'x')).toEqual([
      1, 2,
    ]);
  });

  it('sizes before the data will do as well, and 64-bit ones', async () => {
    const data = floats(1, 2);
    const object = pickle(named({ x: tensor(storage('Float', '0', 2), [2], [1]) }));
    const full = 0xffffffff;
    const extra = '\x01\x00\x10\x00\x08\x00\x00\x00\x00\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00';
    const records = zipRecords(object, []).concat({
      name: 'a/data/0',
      data,
      local: { size: data.length, unpackedSize: data.length },
      central: { size: full, unpackedSize: full, extra },
    });
    expect(await values(await openPth(bytesSource(zipArchive(records))), 'x')).toEqual([1, 2]);
  });

  it('a view deep in a damaged record is refused', async () => {
    const data = new Uint8Array(2 ** 22 + 5);
    const object = pickle(named({ x: tensor(storage('Byte', '0', data.length), [1], [1]) }));
    const bytes = zipArchive(zipRecords(object, [{ key: '0', elements: data.length, data }]));
    const file = await openPth(bytesSource(bytes));
    bytes[bytes.length - 2 ** 9] = 1;
    await expect(file.read('x')).rejects.toMatchObject({ code: 'checksum' });
  });
});

describe('element types', () => {
  it('have the sizes of the types that they are read as', () => {
    for (const { dtype, bytes } of elementTypes.values())
      if (dtype !== null) expect(elementBytes(dtype)).toBe(bytes);
  });
});

it('files that are none of torch.save are told by their beginning', async () => {
  const failure = (bytes: Uint8Array) =>
    openPth(bytesSource(bytes)).then(String, (error: Error) => error.message);
  const tar = new Uint8Array(512);
  tar.set(raw('ustar\x00'), 257);
  expect(await failure(tar)).toMatch(/^expected a zip or legacy file of torch.save, received a tar archive/);
  expect(await failure(raw('<!DOCTYPE html>\n<html>'))).toBe(
    'expected a file of torch.save, received text: "<!DOCTYPE html>\\n"',
  );
  expect(await failure(raw('\x89PNG\r\n\x1a\n'))).toBe(
    'expected a file of torch.save, received the bytes 89 50 4e 47 0d 0a 1a 0a',
  );
  expect(await failure(new Uint8Array())).toBe('expected a file of torch.save, received an empty file');
  expect(await failure(pickle(named({ x: integer(1) })))).toBe(
    'expected the magic number of torch.save, received another pickle (a dict of 1)',
  );
  expect(await failure(pickle(call(global('models', 'Net'))))).toBe(
    'expected the magic number of torch.save, received another pickle (the start of the file: the global "models.Net" is not allowed)',
  );
});

it('a tensor is a PthTensor of plain numbers', async () => {
  const file = await openFixture('lone.pth');
  expect(file.object).toBeInstanceOf(PthTensor);
  expect(file.object).toMatchObject({ dtype: 'F32', shape: [3], stride: [1], offset: 0 });
});
