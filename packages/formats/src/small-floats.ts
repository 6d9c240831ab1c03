// Floating point formats of 8 and 16 bits to and from float32, exactly: subnormal numbers, signed zeros, infinities and
// NaN included. Rounding is to nearest, ties to even. Sources: IEEE 754-2019 section 3.4 for binary16; the OCP 8-bit
// floating point specification for E4M3 and E5M2; the "fnuz" forms have one zero, no infinity, and one NaN at the bits of -0.

interface SmallFloat {
  readonly mantissaBits: number;
  /** Exponent of the smallest normal number. */
  readonly minExponent: number;
  /** The sign bit, which is also the number of magnitudes. */
  readonly signBit: number;
  /** Magnitude bits of the largest finite number. */
  readonly maxFinite: number;
  /** Magnitude bits of infinity, or null where the format has none (then overflow gives NaN). */
  readonly infinity: number | null;
  /** Bits of the NaN that is written. */
  readonly nan: number;
}

const FORMATS = {
  F16: {
    mantissaBits: 10,
    minExponent: -14,
    signBit: 0x8000,
    maxFinite: 0x7bff,
    infinity: 0x7c00,
    nan: 0x7e00,
  },
  BF16: {
    mantissaBits: 7,
    minExponent: -126,
    signBit: 0x8000,
    maxFinite: 0x7f7f,
    infinity: 0x7f80,
    nan: 0x7fc0,
  },
  F8_E5M2: { mantissaBits: 2, minExponent: -14, signBit: 0x80, maxFinite: 0x7b, infinity: 0x7c, nan: 0x7f },
  F8_E4M3: { mantissaBits: 3, minExponent: -6, signBit: 0x80, maxFinite: 0x7e, infinity: null, nan: 0x7f },
  F8_E5M2FNUZ: {
    mantissaBits: 2,
    minExponent: -15,
    signBit: 0x80,
    maxFinite: 0x7f,
    infinity: null,
    nan: 0x80,
  },
  F8_E4M3FNUZ: {
    mantissaBits: 3,
    minExponent: -7,
    signBit: 0x80,
    maxFinite: 0x7f,
    infinity: null,
    nan: 0x80,
  },
} as const satisfies Record<string, SmallFloat>;

export type SmallFloatName = keyof typeof FORMATS;
export const SMALL_FLOATS: ReadonlySet<string> = new Set(Object.keys(FORMATS));

// A table because `**` costs ten times the rest of a conversion.
const LARGEST_POWER = 160;
const POWERS_OF_TWO = Float64Array.from(
  { length: 2 * LARGEST_POWER + 1 },
  (_, index) => 2 ** (index - LARGEST_POWER),
);

const floatView = new Float32Array(1);
const bitView = new Uint32Array(floatView.buffer);

/** Bits of the number of this format nearest to `value` (first rounded to float32 if it is not one). */
export function smallFloatBits(name: SmallFloatName, value: number): number {
  const format: SmallFloat = FORMATS[name];
  floatView[0] = value;
  const bits = bitView[0]!;
  const sign = bits >>> 31 === 1 ? format.signBit : 0;
  if (Number.isNaN(value)) return format.nan | sign;
  const magnitude = magnitudeBits(format, Math.abs(floatView[0]!), ((bits >>> 23) & 0xff) - 127);
  if (magnitude > format.maxFinite)
    return format.infinity === null ? format.nan | sign : format.infinity | sign;
  const hasOneZero = format.nan === format.signBit;
  return magnitude === 0 && hasOneZero ? 0 : magnitude | sign;
}

/** The number that these bits stand for; every one is a float32. */
export function smallFloatValue(name: SmallFloatName, bits: number): number {
  const format: SmallFloat = FORMATS[name];
  const magnitude = bits & (format.signBit - 1);
  if (bits === format.nan) return Number.NaN;
  const sign = bits >= format.signBit ? -1 : 1;
  if (magnitude > format.maxFinite)
    return magnitude === format.infinity ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  const leadingOne = 2 ** format.mantissaBits;
  const fraction = magnitude % leadingOne;
  const exponentField = (magnitude - fraction) / leadingOne;
  const steps = exponentField === 0 ? fraction : fraction + leadingOne;
  return sign * steps * 2 ** (Math.max(exponentField - 1, 0) + format.minExponent - format.mantissaBits);
}

/** Counts in steps of the last mantissa bit; a carry out of the mantissa moves into the exponent field by itself. */
function magnitudeBits(format: SmallFloat, value: number, float32Exponent: number): number {
  if (value === Number.POSITIVE_INFINITY) return value;
  const exponent = Math.max(float32Exponent, format.minExponent);
  const steps = value * POWERS_OF_TWO[LARGEST_POWER + format.mantissaBits - exponent]!;
  return roundTiesToEven(steps) + ((exponent - format.minExponent) << format.mantissaBits);
}

function roundTiesToEven(value: number): number {
  const down = Math.floor(value);
  const rest = value - down;
  return rest > 0.5 || (rest === 0.5 && down % 2 === 1) ? down + 1 : down;
}

/** IEEE binary16 bits (0 to 65535) of a number; 65520 and above become infinity. */
export const float32ToHalfBits = (value: number): number => smallFloatBits('F16', value);
/** The number that binary16 bits stand for. */
export const halfBitsToFloat32 = (bits: number): number => smallFloatValue('F16', bits);
/** bfloat16 bits (0 to 65535) of a number. */
export const float32ToBFloat16Bits = (value: number): number => smallFloatBits('BF16', value);
/** The number that bfloat16 bits stand for. */
export const bfloat16BitsToFloat32 = (bits: number): number => smallFloatValue('BF16', bits);
/** Bits (0 to 255) of the E4M3 number (largest 448, no infinity: overflow gives NaN) nearest to a number. */
export const float32ToFloat8E4M3Bits = (value: number): number => smallFloatBits('F8_E4M3', value);
/** The number that E4M3 bits stand for. */
export const float8E4M3BitsToFloat32 = (bits: number): number => smallFloatValue('F8_E4M3', bits);
/** Bits (0 to 255) of the E5M2 number nearest to a number; 61440 and above become infinity. */
export const float32ToFloat8E5M2Bits = (value: number): number => smallFloatBits('F8_E5M2', value);
/** The number that E5M2 bits stand for. */
export const float8E5M2BitsToFloat32 = (bits: number): number => smallFloatValue('F8_E5M2', bits);
