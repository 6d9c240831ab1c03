/**
 * Files of torch.save (`.pth`, `.pt`), in the zip format and in the legacy format, without running anything that stands in them: plain
 * values and tensors come out, everything else stays a name.
 */
import type { ByteSource } from '../byte-source.js';
import { closestName } from '../closest-name.js';
import { quoted, shapeText } from '../describe-value.js';
import { checkedByteLength, elementBytes, type TensorEntry } from '../dtypes.js';
import { latin1, type PickleValue } from '../pickle-values.js';
import { gathered, isContiguous } from './gather.js';
import { readLegacyFormat } from './legacy-format.js';
import { PthError } from './pth-error.js';
import type { PthTensor } from './pth-values.js';
import { sourceBytes } from './source-bytes.js';
import type { StoredObject } from './stored-object.js';
import { viewElements } from './tensor-layout.js';
import { findTensors, type TensorPaths } from './tensor-paths.js';
import { readZipFormat } from './zip-format.js';

/** Bytes of one tensor, and of the part of its storage that it shows: more do not fit in one array. */
export const LARGEST_PTH_TENSOR = 2 ** 32 - 1;

/** An opened file; the numbers of tensors are read when they are asked for. */
export interface PthFile {
  readonly format: 'zip' | 'legacy';
  /** Whether damage to the numbers is seen when they are read: zip files have checksums, if they were not switched off. */
  readonly hasChecksums: boolean;
  /**
   * What was saved. Dicts are PickleDict, tensors PthTensor, argparse.Namespace is PthNamespace, objects of unknown classes are
   * InertObject. Containers may hold themselves.
   */
  readonly object: PickleValue;
  /** By their paths: keys from the outside in, joined by `/` (`optimizer/state/0/exp_avg`). A lone tensor has the path ``. */
  readonly tensors: ReadonlyMap<string, PthTensor>;
  /** Paths of unsupported tensors and of objects of unknown classes, with what a message says of them after "received". */
  readonly unreadable: ReadonlyMap<string, string>;
  /** `module.name` of everything in the pickle that is kept as a name only, escaped and cut so that it can be shown. */
  readonly unknownGlobals: readonly string[];
  /**
   * The numbers of one tensor of this file, or of the tensor at a path: row by row, little-endian, views gathered. Throws PthError:
   * `unknown-tensor`, `unsupported-tensor`, `checksum`, `short-read`, `invalid-zip`.
   */
  read(tensor: PthTensor | string): Promise<TensorEntry>;
}

/** Reads and checks everything but the numbers. Throws `PthError`. */
export async function openPth(source: ByteSource): Promise<PthFile> {
  const stored = await readStoredObject(source);
  const { format, hasChecksums, object, unknownGlobals } = stored;
  const paths = findTensors(object);
  const read = async (tensor: PthTensor | string): Promise<TensorEntry> =>
    readTensor(stored, typeof tensor === 'string' ? tensorAt(paths, tensor) : tensor);
  const { tensors, unreadable } = paths;
  return { format, hasChecksums, object, tensors, unreadable, unknownGlobals, read };
}

const ZIP_START = 'PK';
/** Where tar archives say what they are. */
const TAR_MARK = { offset: 257, text: 'ustar' };
const PICKLE_START = 0x80;

async function readStoredObject(source: ByteSource): Promise<StoredObject> {
  const length = TAR_MARK.offset + TAR_MARK.text.length;
  const start = await sourceBytes(source, 0, Math.min(source.size, length));
  if (latin1(start.subarray(0, 2)) === ZIP_START) return readZipFormat(source);
  if (latin1(start.subarray(TAR_MARK.offset)) === TAR_MARK.text)
    throw new PthError(
      'old-tar',
      'expected a zip or legacy file of torch.save, received a tar archive (torch before 0.1.10): load and save it with a newer torch',
    );
  if (start[0] === PICKLE_START) return readLegacyFormat(source);
  throw new PthError(
    'not-pth',
    `expected a file of torch.save, received ${describeStart(start.subarray(0, 16))}`,
  );
}

function describeStart(bytes: Uint8Array): string {
  if (bytes.length === 0) return 'an empty file';
  if (bytes.every((byte) => (byte >= 0x20 && byte < 0x7f) || byte === 0x0a || byte === 0x0d))
    return `text: ${quoted(latin1(bytes))}`;
  const hex = Array.from(bytes.subarray(0, 8), (byte) => byte.toString(16).padStart(2, '0'));
  return `the bytes ${hex.join(' ')}`;
}

function tensorAt({ tensors, unreadable }: TensorPaths, path: string): PthTensor {
  const tensor = tensors.get(path);
  if (tensor !== undefined) return tensor;
  const where = [...unreadable.keys()].find(
    (outer) => outer === '' || outer === path || path.startsWith(`${outer}/`),
  );
  if (where !== undefined)
    throw new PthError(
      'unsupported-tensor',
      `${quoted(where)}: expected a tensor of plain numbers, received ${unreadable.get(where)}`,
    );
  const near = closestName(path, [...tensors.keys()]);
  const hint = near === undefined ? '' : `, did you mean ${quoted(near)}?`;
  throw new PthError(
    'unknown-tensor',
    `expected the path of one of ${tensors.size} tensors, received ${quoted(path)}${hint}`,
  );
}

async function readTensor({ storages }: StoredObject, tensor: PthTensor): Promise<TensorEntry> {
  const { dtype, storage } = tensor;
  const stored = storages.get(storage);
  if (stored === undefined) throw new PthError('unknown-tensor', 'expected a tensor of this file');
  const shape = [...tensor.shape];
  if (shape.includes(0)) return { dtype, shape, data: new Uint8Array() };
  const size = elementBytes(dtype);
  const start = storage.byteOffset + tensor.offset * size;
  const length = viewElements(tensor) * size;
  if (Math.max(length, checkedByteLength(dtype, shape) ?? Infinity) > LARGEST_PTH_TENSOR)
    throw new PthError(
      'too-large',
      `expected a tensor of at most ${LARGEST_PTH_TENSOR} bytes, received ${dtype} ${shapeText(shape)}`,
    );
  const bytes = await stored.read(start, length);
  return { dtype, shape, data: isContiguous(tensor) ? bytes : gathered(bytes, tensor) };
}
