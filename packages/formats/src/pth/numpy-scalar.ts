import { PickleObject, type PickleValue, shortestInteger, shortText } from '../pickle-values.js';
import { halfBitsToFloat32 } from '../small-floats.js';

/** Characters of the code of a type, `f8`. */
const LONGEST_TYPE = 8;

/**
 * The number in a NumPy scalar as `numpy.core.multiarray.scalar(dtype, bytes)` has it, or undefined where it is none: text, a date,
 * a complex or long double number. `dtype` is an inert object of `numpy.dtype`.
 */
export function numpyScalar(
  dtype: PickleValue | undefined,
  data: PickleValue | undefined,
): boolean | number | bigint | undefined {
  if (!(dtype instanceof PickleObject) || !(data instanceof Uint8Array)) return undefined;
  const code = shortText(dtype.args[0], LONGEST_TYPE);
  const order = Array.isArray(dtype.state) ? shortText(dtype.state[1], LONGEST_TYPE) : undefined;
  if (code === undefined || data.length !== Number(code.slice(1))) return undefined;
  const little = order !== '>';
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  switch (code) {
    case 'b1':
      return view.getUint8(0) !== 0;
    case 'i1':
      return view.getInt8(0);
    case 'u1':
      return view.getUint8(0);
    case 'i2':
      return view.getInt16(0, little);
    case 'u2':
      return view.getUint16(0, little);
    case 'i4':
      return view.getInt32(0, little);
    case 'u4':
      return view.getUint32(0, little);
    case 'i8':
      return shortestInteger(view.getBigInt64(0, little));
    case 'u8':
      return shortestInteger(view.getBigUint64(0, little));
    case 'f2':
      return halfBitsToFloat32(view.getUint16(0, little));
    case 'f4':
      return view.getFloat32(0, little);
    case 'f8':
      return view.getFloat64(0, little);
    default:
      return undefined;
  }
}
