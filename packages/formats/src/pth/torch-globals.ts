/**
 * What the names in a pickle of torch.save stand for: tensors, storages and a few plain containers. Every other name becomes an inert
 * value, so that a file with foreign objects beside its weights can be read, and is noted.
 *
 * Source: what torch 0.3 to 2.15 write (`torch/_utils.py`, `torch/serialization.py`, `Tensor.__reduce_ex__`).
 */
import { quoted, shapeText } from '../describe-value.js';
import { checkedByteLength, type SafetensorsDtype } from '../dtypes.js';
import { numpyGlobals } from '../numpy-pickle.js';
import {
  describePickle,
  InertObject,
  inertGlobal,
  PickleDict,
  PickleGlobal,
  type PickleValue,
  shortText,
  wrongType,
} from '../pickle-values.js';
import { type ElementType, elementTypes, storageTypes } from './element-types.js';
import { numpyScalar } from './numpy-scalar.js';
import { PthError } from './pth-error.js';
import { PthNamespace, PthStorage, PthTensor, UnsupportedTensor } from './pth-values.js';
import { checkedLayout, isWholeNumber } from './tensor-layout.js';

export const MOST_PTH_TENSORS = 2 ** 18;
/** Bytes of all tensors of a file as a multiple of its size (views may repeat its numbers, without end where a stride is 0) ... */
export const MOST_EXPANSION = 16;
/** ... and what is allowed beside it, however small the file. */
export const EXPANSION_ALLOWANCE = 2 ** 24;
export const MOST_UNKNOWN_GLOBALS = 2 ** 12;
/** Characters of the name of a module or class. */
const LONGEST_NAME = 1024;
/** Characters of the key of a storage and of the device it was on. */
export const LONGEST_KEY = 64;
/** Pairs that dicts are made of at once (Python 2 only): a file may ask for the same ones again and again. */
const MOST_LISTED_PAIRS = 2 ** 22;

/** A storage as a pickle tells of it. */
export interface StorageClaim {
  readonly key: string;
  readonly element: ElementType;
  /** Elements of the whole stretch of this key. */
  readonly elements: number;
}

type Call = (args: readonly PickleValue[], type: PickleGlobal) => PickleValue;

/** A class of storages. */
class StorageGlobal extends PickleGlobal {
  constructor(
    module: string,
    name: string,
    readonly element: ElementType,
  ) {
    super(module, name);
  }
}

/** Handlers for one pickle. */
export abstract class TorchGlobals {
  readonly #unknown = new Map<string, PickleGlobal>();
  readonly #storages = new Map<string, PthStorage>();
  readonly #encode = numpyGlobals()('_codecs', 'encode');
  #bytesLeft: number;
  #tensorsLeft = MOST_PTH_TENSORS;
  #pairsLeft = MOST_LISTED_PAIRS;

  constructor(fileBytes: number) {
    this.#bytesLeft = EXPANSION_ALLOWANCE + MOST_EXPANSION * fileBytes;
  }

  /** A claim may come more than once. Throws PthError for a storage that the file cannot hold. */
  protected abstract checkClaim(claim: StorageClaim): void;

  /** All that tensors were made of, or that stand alone. */
  get storages(): Iterable<PthStorage> {
    return this.#storages.values();
  }

  /** What stands in the pickle without being known, in the order of the file: `module.name`, escaped and cut to be shown. */
  get unknownGlobals(): string[] {
    return Array.from(this.#unknown.values(), (global) => String(global).slice(1, -1));
  }

  readonly findGlobal = (module: string, name: string): PickleGlobal => {
    if (module.length > LONGEST_NAME || name.length > LONGEST_NAME)
      throw new PthError('too-large', `expected names of at most ${LONGEST_NAME} characters`);
    return this.#known(module, name) ?? this.#note(module, name);
  };

  #known(module: string, name: string): PickleGlobal | undefined {
    if (module === '_codecs' && name === 'encode') return this.#encode;
    const call = this.#calls.get(`${module} ${name}`);
    if (call !== undefined) {
      const type: PickleGlobal = new PickleGlobal(module, name, (args) => call(args, type));
      return type;
    }
    const element = STORAGE_MODULES.has(module) ? storageTypes.get(name) : undefined;
    if (element !== undefined) return new StorageGlobal(module, name, element);
    return isKnownAndInert(module, name) ? inertGlobal(module, name) : undefined;
  }

  #note(module: string, name: string): PickleGlobal {
    const key = `${module} ${name}`;
    const global = this.#unknown.get(key) ?? inertGlobal(module, name);
    this.#unknown.set(key, global);
    if (this.#unknown.size > MOST_UNKNOWN_GLOBALS)
      throw new PthError('too-large', `expected at most ${MOST_UNKNOWN_GLOBALS} names that are not known`);
    return global;
  }

  /** `('storage', type, key, location, elements)`; old files have a sixth value, and `('module', class, source file, source)`. */
  readonly persistentId = (id: PickleValue): PickleValue => {
    const [kind, type, key, location, elements, view] = Array.isArray(id) ? id : [];
    const kindText = shortText(kind, LONGEST_KEY);
    if (kindText === 'module' && type !== undefined) return type;
    const name = shortText(key, LONGEST_KEY);
    if (kindText !== 'storage' || !(type instanceof StorageGlobal) || name === undefined)
      throw invalidStorage(`expected a storage of a known type, received ${describePickle(type ?? id)}`);
    const { element } = type;
    if (!isWholeNumber(elements) || !Number.isSafeInteger(elements * element.bytes))
      throw invalidStorage(
        `${quoted(name)}: expected a number of elements, received ${describePickle(elements)}`,
      );
    this.checkClaim({ key: name, element, elements });
    const [from, count] = viewOfStorage(name, elements, view);
    const place = `${name} ${element.name} ${from} ${count}`;
    const storage =
      this.#storages.get(place) ??
      new PthStorage(
        type,
        name,
        element,
        from * element.bytes,
        count * element.bytes,
        shortText(location, LONGEST_KEY) ?? '',
      );
    this.#storages.set(place, storage);
    return storage;
  };

  readonly #calls: ReadonlyMap<string, Call> = new Map<string, Call>([
    ['collections OrderedDict', ([pairs]) => this.#dict(pairs)],
    ['argparse Namespace', (args, type) => new PthNamespace(type, args)],
    ['torch Size', ([sizes], type) => sizes ?? new InertObject(type, [])],
    ['torch._utils _rebuild_tensor', (args, type) => this.#tensor(type, args, false)],
    ['torch._utils _rebuild_tensor_v2', (args, type) => this.#tensor(type, args, args[4], args[6])],
    [
      'torch._utils _rebuild_tensor_v3',
      (args, type) => this.#tensor(type, args, args[4], args[7], elementOf(args[6])),
    ],
    ['torch._utils _rebuild_parameter', parameter],
    ['torch._utils _rebuild_parameter_with_state', parameter],
    ['torch._tensor _rebuild_from_type_v2', ofSubclass],
    ['torch._utils _rebuild_qtensor', (_, type) => new UnsupportedTensor(type, 'quantised')],
    ['torch._utils _rebuild_sparse_tensor', (_, type) => new UnsupportedTensor(type, 'sparse')],
    ['torch._utils _rebuild_nested_tensor', (_, type) => new UnsupportedTensor(type, 'nested')],
    ['torch._utils _rebuild_meta_tensor_no_storage', (_, type) => new UnsupportedTensor(type, 'meta')],
    ['numpy.core.multiarray scalar', scalar],
    ['numpy._core.multiarray scalar', scalar],
    ['__builtin__ bytes', emptyBytes],
    ['builtins bytes', emptyBytes],
  ]);

  /** Python 2 gives the pairs at once, Python 3 sets them afterwards. */
  #dict(pairs: PickleValue | undefined): PickleDict {
    const dict = new PickleDict();
    if (pairs === undefined) return dict;
    if (!Array.isArray(pairs)) throw wrongType('collections.OrderedDict', 'a list of pairs', pairs);
    this.#pairsLeft -= pairs.length;
    if (this.#pairsLeft < 0)
      throw new PthError('too-large', `expected at most ${MOST_LISTED_PAIRS} pairs in lists`);
    for (const pair of pairs) {
      if (!Array.isArray(pair) || pair.length !== 2)
        throw wrongType('collections.OrderedDict', 'a pair', pair);
      dict.set(pair[0]!, pair[1]!);
    }
    return dict;
  }

  /** `(storage, offset, size, stride, ...)`, of the storage's own element type unless another one stands with it. */
  #tensor(
    type: PickleGlobal,
    [storage, offset, size, stride]: readonly PickleValue[],
    requiresGrad: PickleValue | undefined,
    marks?: PickleValue,
    element?: ElementType,
  ): PthTensor | UnsupportedTensor {
    if (!(storage instanceof PthStorage))
      throw new PthError(
        'invalid-tensor',
        `expected the storage of a tensor, received ${describePickle(storage)}`,
      );
    const { name, dtype } = element ?? storage.element;
    if (dtype === null) return new UnsupportedTensor(type, name);
    // Lazily conjugated or negated: the numbers in the file are not those of the tensor.
    const isPlain =
      marks === undefined || marks === null || (marks instanceof PickleDict && marks.size === 0);
    if (!isPlain) return new UnsupportedTensor(type, 'lazily negated');
    const layout = checkedLayout(storage, dtype, offset, size, stride);
    this.#count(dtype, layout.shape);
    return new PthTensor(type, storage, layout, requiresGrad === true, false);
  }

  #count(dtype: SafetensorsDtype, shape: readonly number[]): void {
    this.#tensorsLeft -= 1;
    if (this.#tensorsLeft < 0)
      throw new PthError('too-large', `expected at most ${MOST_PTH_TENSORS} tensors`);
    this.#bytesLeft -= checkedByteLength(dtype, shape) ?? 0;
    if (this.#bytesLeft < 0)
      throw new PthError(
        'too-large',
        `expected tensors of at most ${MOST_EXPANSION} times the size of the file in all, received ${dtype} ${shapeText(shape)} (an expanded view?)`,
      );
  }
}

/** Its first three values: data, whether it takes gradients, hooks. */
const parameter: Call = (args, type) => {
  const [data, requiresGrad] = args;
  if (data instanceof UnsupportedTensor) return data;
  if (!(data instanceof PthTensor)) return new InertObject(type, args);
  return new PthTensor(type, data.storage, data, requiresGrad === true, true);
};

/** `(function, class, arguments, state)`: a tensor with attributes, which are passed over. */
const ofSubclass: Call = (args, type) => {
  const [rebuild, , rebuildArgs] = args;
  // Of torch._utils only: a file could make this function call itself without end.
  const isPlain = rebuild instanceof PickleGlobal && rebuild.module === 'torch._utils';
  return isPlain && rebuild.call !== undefined && Array.isArray(rebuildArgs)
    ? rebuild.call(rebuildArgs)
    : new InertObject(type, args);
};

const scalar: Call = (args, type) => numpyScalar(args[0], args[1]) ?? new InertObject(type, args);

const emptyBytes: Call = (args, type) => (args.length === 0 ? new Uint8Array() : new InertObject(type, args));

const STORAGE_MODULES: ReadonlySet<string> = new Set(['torch', 'torch.storage', 'torch.cuda']);

/** Values that say something about tensors and are none: dtypes, devices, layouts, schemes. */
function isKnownAndInert(module: string, name: string): boolean {
  if (module === 'torch') return name === 'device' || name.startsWith('per_') || elementTypes.has(name);
  return (
    (module === 'torch.serialization' && name === '_get_layout') || (module === 'numpy' && name === 'dtype')
  );
}

/** The element type of a dtype such as `torch.uint16`. */
function elementOf(dtype: PickleValue | undefined): ElementType {
  const known =
    dtype instanceof PickleGlobal && dtype.module === 'torch' ? elementTypes.get(dtype.name) : undefined;
  if (known !== undefined) return known;
  if (dtype instanceof PickleGlobal) return { name: quoted(dtype.name), bytes: 1, dtype: null };
  throw new PthError('invalid-tensor', `expected the dtype of a tensor, received ${describePickle(dtype)}`);
}

/** First element and number of elements: the whole stretch, or the part that a view of old files shows. */
function viewOfStorage(key: string, elements: number, view: PickleValue | undefined): [number, number] {
  if (view === undefined || view === null) return [0, elements];
  const [, from, count] = Array.isArray(view) ? view : [];
  if (!isWholeNumber(from) || !isWholeNumber(count) || from + count > elements)
    throw invalidStorage(
      `${quoted(key)}: expected a view inside ${elements} elements, received ${describePickle(view)}`,
    );
  return [from, count];
}

function invalidStorage(message: string): PthError {
  return new PthError('invalid-storage', `storage ${message}`);
}
