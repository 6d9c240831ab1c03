/** NumPy arrays inside pickles: what NumPy's own pickling writes, as plain descriptions of bytes. */
import { PickleError } from './pickle-error.js';
import {
  describePickle,
  PickleGlobal,
  PickleObject,
  type PickleValue,
  shortText,
  wrongType,
} from './pickle-values.js';

/** Bytes that conversions of text to bytes may make for one file: a pickle may ask for the same conversion again and again. */
const MOST_ENCODED_BYTES = 2 ** 28;
const MOST_DIMENSIONS = 32;
/** Characters of the code of a type, `u1`. */
const LONGEST_TYPE = 8;

/** A type of elements, such as `|u1` or `<f4`. */
export class NumpyDtype extends PickleObject {
  #order = '|';

  /** Order of bytes, kind and bytes an element; `|u1` for uint8. */
  get text(): string {
    return `${this.#order}${this.code}`;
  }

  constructor(
    type: PickleGlobal,
    /** Kind and bytes an element: `u1`, `f4`. */
    readonly code: string,
  ) {
    super(type, [code]);
  }

  get itemBytes(): number {
    return Number(this.code.slice(1));
  }

  /** (version, order of bytes, …) */
  override setState(state: PickleValue): void {
    const order = Array.isArray(state) ? shortText(state[1], LONGEST_TYPE) : undefined;
    if (order === undefined || !/^[<>|=]$/.test(order)) throw wrongType('numpy.dtype', 'its state', state);
    this.#order = order;
  }
}

/** An array: `data` holds its elements row by row, or column by column where `fortranOrder`. */
export class NumpyArray extends PickleObject {
  shape: readonly number[] = [];
  dtype: NumpyDtype | undefined;
  fortranOrder = false;
  data: Uint8Array = new Uint8Array();

  /** (version, shape, dtype, Fortran order, data) */
  override setState(state: PickleValue): void {
    if (!Array.isArray(state) || state.length !== 5) throw wrongType('numpy.ndarray', 'its state', state);
    const [, shape, dtype, fortranOrder, data] = state;
    this.fill(shape, dtype, fortranOrder === true, data);
  }

  /** @throws PickleError where shape, type and bytes do not fit each other */
  fill(
    shape: PickleValue | undefined,
    dtype: PickleValue | undefined,
    fortranOrder: boolean,
    data: PickleValue | undefined,
  ): void {
    if (!isShape(shape)) throw wrongType('numpy.ndarray', 'a shape', shape);
    if (!(dtype instanceof NumpyDtype)) throw wrongType('numpy.ndarray', 'a dtype', dtype);
    if (!(data instanceof Uint8Array)) throw wrongType('numpy.ndarray', 'the bytes of its elements', data);
    const bytes = shape.reduce((product, size) => product * size, dtype.itemBytes);
    if (data.length !== bytes)
      throw new PickleError(
        'wrong-type',
        `numpy.ndarray: expected ${bytes} bytes of elements, received ${data.length}`,
      );
    [this.shape, this.dtype, this.fortranOrder, this.data] = [shape, dtype, fortranOrder, data];
  }
}

/**
 * The globals that NumPy arrays of numbers need, in every version of NumPy and of the protocol; for `findGlobal`. Make new ones
 * for every pickle: what they may convert is counted.
 */
export function numpyGlobals(): (module: string, name: string) => PickleGlobal | undefined {
  const arrayType = new PickleGlobal('numpy', 'ndarray');
  const dtypeType: PickleGlobal = new PickleGlobal('numpy', 'dtype', ([code]) => dtypeOf(dtypeType, code));
  const emptyArray = new PickleGlobal('numpy', '_reconstruct', () => new NumpyArray(arrayType, []));
  const filledArray = new PickleGlobal('numpy', '_frombuffer', ([data, dtype, shape, order]) => {
    const array = new NumpyArray(arrayType, []);
    array.fill(shape, dtype, order === 'F', data);
    return array;
  });
  let left = MOST_ENCODED_BYTES;
  const encode = new PickleGlobal('_codecs', 'encode', ([text, encoding]) => {
    if (typeof text !== 'string' || encoding !== 'latin1')
      throw wrongType('_codecs.encode', 'a text and latin1', encoding);
    left -= text.length;
    if (left < 0) throw new PickleError('too-large', `expected at most ${MOST_ENCODED_BYTES} bytes of text`);
    return latin1Bytes(text);
  });
  const known: Record<string, PickleGlobal> = {
    'numpy ndarray': arrayType,
    'numpy dtype': dtypeType,
    '_codecs encode': encode,
    'numpy.core.multiarray _reconstruct': emptyArray,
    'numpy._core.multiarray _reconstruct': emptyArray,
    'numpy.core.numeric _frombuffer': filledArray,
    'numpy._core.numeric _frombuffer': filledArray,
  };
  const table = new Map(Object.entries(known));
  return (module, name) => table.get(`${module} ${name}`);
}

function dtypeOf(type: PickleGlobal, code: PickleValue | undefined): NumpyDtype {
  const text = shortText(code, LONGEST_TYPE);
  if (text === undefined || !/^[biufc]\d{1,2}$/.test(text))
    throw wrongType('numpy.dtype', 'a type of numbers', code);
  return new NumpyDtype(type, text);
}

function isShape(value: PickleValue | undefined): value is number[] {
  if (!Array.isArray(value) || value.length > MOST_DIMENSIONS) return false;
  return value.every((size) => typeof size === 'number' && Number.isSafeInteger(size) && size >= 0);
}

function latin1Bytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i += 1) {
    const character = text.charCodeAt(i);
    if (character > 255) throw wrongType('_codecs.encode', 'characters of latin1', describePickle(text));
    bytes[i] = character;
  }
  return bytes;
}
