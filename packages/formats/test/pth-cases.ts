// Small files of torch.save for the fuzz tests: a few tensors, sound or not, among other values.

import fc from 'fast-check';
import {
  call,
  global,
  integer,
  legacyFile,
  list,
  named,
  none,
  pickle,
  storage,
  tensor,
  text,
  tuple,
  type WrittenStorage,
  zipArchive,
  zipFile,
  zipRecords,
} from './pth-writer.js';

interface PthCase {
  object: string;
  storages: WrittenStorage[];
}

const ELEMENT_BYTES = { Float: 4, Half: 2, Long: 8, Bool: 1, ComplexFloat: 8 };

const stored = fc
  .record({
    type: fc.constantFrom('Float', 'Half', 'Long', 'Bool', 'ComplexFloat' as const),
    elements: fc.nat({ max: 8 }),
    claimed: fc.oneof({ weight: 5, arbitrary: fc.constant(undefined) }, fc.nat({ max: 9 })),
  })
  .map(({ type, elements, claimed }) => ({
    type,
    claimed: claimed ?? elements,
    elements,
    data: new Uint8Array(elements * ELEMENT_BYTES[type]).map((_, i) => 37 * i),
  }));

const views = fc.array(
  fc.record({
    storage: fc.nat({ max: 1 }),
    shape: fc.array(fc.nat({ max: 3 }), { maxLength: 3 }),
    stride: fc.array(fc.nat({ max: 3 }), { minLength: 3, maxLength: 3 }),
    offset: fc.nat({ max: 2 }),
  }),
  { maxLength: 3 },
);

const others = fc.array(
  fc.constantFrom(
    integer(7),
    none,
    '\x88',
    'G\x3f\xf8\x00\x00\x00\x00\x00\x00',
    text('name'),
    list(text('a'), '\x89'),
    `${call(global('argparse', 'Namespace'))}${named({ lr: integer(1) })}b`,
    `${call(global('models', 'Net'), text('a'))}${named({ weight: none })}b`,
    call(global('torch', 'Size'), tuple(integer(2))),
    global('torch', 'float32'),
    `${call(global('numpy', 'dtype'), text('f8'))}${tuple(integer(3), text('<'))}b`,
  ),
  { maxLength: 3 },
);

export const pthCases: fc.Arbitrary<PthCase> = fc
  .record({ stored: fc.array(stored, { minLength: 2, maxLength: 2 }), views, others })
  .map(({ stored, views, others }) => {
    const used = new Set(views.map((view) => view.storage));
    const members = views.map(({ storage: place, shape, stride, offset }, i) => {
      const { type, claimed } = stored[place]!;
      const from = storage(type, String(place), claimed);
      return [`t${i}`, tensor(from, shape, stride.slice(0, shape.length), offset)] as const;
    });
    return {
      object: named({ ...Object.fromEntries(members), rest: list(...others) }),
      storages: stored
        .map(({ elements, data }, i) => ({ key: String(i), elements, data }))
        .filter((_, i) => used.has(i)),
    };
  });

export const pthZipFiles = pthCases.map(({ object, storages }) => zipFile(object, storages));
export const pthLegacyFiles = pthCases.map(({ object, storages }) => legacyFile(object, storages));

type Damage = (bytes: Uint8Array) => Uint8Array;

/** Sound archives, checksums and all, of damaged objects. */
export const pthZipAround = (damages: fc.Arbitrary<Damage>) =>
  fc
    .tuple(pthCases, damages)
    .map(([{ object, storages }, damage]) => zipArchive(zipRecords(damage(pickle(object)), storages)));

/** Any opcodes one after the other, with arguments that fit each other often enough to get somewhere. */
const programs = fc
  .array(
    fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(...'N(t}su]ae)\x85\x86\x87ld2010RbQ\x81\x8f\x90\x91\x94') },
      fc.constantFrom('q\x00', 'q\x01', 'h\x00', 'h\x01', 'q\x02', 'h\x02'),
      fc.constantFrom(0, 1, 2, 6, -1, 2 ** 31, 2 ** 53 - 1, 2n ** 60n).map(integer),
      fc.constantFrom('storage', 'module', '0', '1', 'cpu', '', '\n').map(text),
      fc
        .constantFrom(
          ['torch._utils', '_rebuild_tensor_v2'],
          ['torch._utils', '_rebuild_tensor_v3'],
          ['torch._utils', '_rebuild_tensor'],
          ['torch._utils', '_rebuild_parameter'],
          ['torch._utils', '_rebuild_sparse_tensor'],
          ['torch._tensor', '_rebuild_from_type_v2'],
          ['torch', 'FloatStorage'],
          ['torch', 'Size'],
          ['torch', 'uint16'],
          ['collections', 'OrderedDict'],
          ['argparse', 'Namespace'],
          ['numpy.core.multiarray', 'scalar'],
          ['numpy', 'dtype'],
          ['_codecs', 'encode'],
          ['posix', 'system'],
        )
        .map(([module, name]) => global(module!, name!)),
      fc.constantFrom(
        storage('Float', '0', 8),
        storage('Half', '0', 16),
        storage('Byte', '0', 32),
        storage('Float', '1', 0),
      ),
      fc.constantFrom(
        tensor(storage('Float', '0', 8), [2, 3], [3, 1]),
        tensor(storage('Float', '0', 8), [], [], 7),
      ),
      fc.constantFrom(tuple(integer(2)), tuple(), list(integer(1), integer(2)), named({ a: none })),
    ),
    { maxLength: 30 },
  )
  .map((opcodes) => opcodes.join(''));

const programStorages: WrittenStorage[] = [
  { key: '0', elements: 8, data: new Uint8Array(32) },
  { key: '1', elements: 0, data: new Uint8Array() },
];

export const pthZipPrograms = programs.map((program) => zipFile(program, programStorages));
export const pthLegacyPrograms = fc
  .tuple(programs, fc.subarray(programStorages))
  .map(([program, storages]) => legacyFile(program, storages));
