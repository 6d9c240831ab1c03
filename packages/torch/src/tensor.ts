/**
 * `Tensor`: PyTorch's tensor under PyTorch's names in camelCase. Methods never change their tensor unless their name ends in
 * an underscore. Dimensions may be negative, as in PyTorch. Every operator that has no method here is reached by name through
 * `operator('aten::…')`.
 */
import type { Binding } from './binding.js';
import {
  type DType,
  dtypeLabel,
  dtypeOfCode,
  newTypedArray,
  type TypedArray,
  typedArrayOver,
} from './dtype.js';
import { ArgumentError, translateFault } from './errors.js';
import { TensorHandle } from './handle.js';
import { native } from './load.js';
import { describeValue, guard, operator, registerTensorClass, type Scalar, wrapHandle } from './operator.js';

/** Nested numbers as `tolist` gives them. */
export type Nested = number | bigint | boolean | Nested[];

/** One step of `Tensor.get`: an index, [start, end, step] (null = open), a new axis, all the remaining, or a tensor of indices. */
export type Index = number | readonly [number | null, (number | null)?, number?] | null | '...' | Tensor;

/** Where and as what a tensor lives. */
export interface TensorOptions {
  dtype?: DType;
  device?: string;
  requiresGrad?: boolean;
}

export type Reduction = 'none' | 'mean' | 'sum';
const REDUCTIONS: readonly Reduction[] = ['none', 'mean', 'sum'];

/** libtorch's code of a reduction. */
export function reductionCode(reduction: Reduction): number {
  const code = REDUCTIONS.indexOf(reduction);
  if (code < 0)
    throw new ArgumentError(`expected reduction none, mean or sum, received ${describeValue(reduction)}`);
  return code;
}

const addTensor = operator('aten::add.Tensor');
const addScalar = operator('aten::add.Scalar');
const subTensor = operator('aten::sub.Tensor');
const subScalar = operator('aten::sub.Scalar');
const mulTensor = operator('aten::mul.Tensor');
const mulScalar = operator('aten::mul.Scalar');
const divTensor = operator('aten::div.Tensor');
const divScalar = operator('aten::div.Scalar');
const powTensor = operator('aten::pow.Tensor_Tensor');
const powScalar = operator('aten::pow.Tensor_Scalar');
const remainderTensor = operator('aten::remainder.Tensor');
const remainderScalar = operator('aten::remainder.Scalar');
const floorDivideTensor = operator('aten::floor_divide');
const floorDivideScalar = operator('aten::floor_divide.Scalar');
const addTensorInPlace = operator('aten::add_.Tensor');
const addScalarInPlace = operator('aten::add_.Scalar');
const subTensorInPlace = operator('aten::sub_.Tensor');
const subScalarInPlace = operator('aten::sub_.Scalar');
const mulTensorInPlace = operator('aten::mul_.Tensor');
const mulScalarInPlace = operator('aten::mul_.Scalar');
const divTensorInPlace = operator('aten::div_.Tensor');
const divScalarInPlace = operator('aten::div_.Scalar');
const maximumOp = operator('aten::maximum');
const minimumOp = operator('aten::minimum');
const clampOp = operator('aten::clamp');
const lerpOp = operator('aten::lerp.Scalar');
const negOp = operator('aten::neg');
const absOp = operator('aten::abs');
const expOp = operator('aten::exp');
const logOp = operator('aten::log');
const log2Op = operator('aten::log2');
const sqrtOp = operator('aten::sqrt');
const rsqrtOp = operator('aten::rsqrt');
const reciprocalOp = operator('aten::reciprocal');
const squareOp = operator('aten::square');
const sinOp = operator('aten::sin');
const cosOp = operator('aten::cos');
const tanhOp = operator('aten::tanh');
const sigmoidOp = operator('aten::sigmoid');
const reluOp = operator('aten::relu');
const siluOp = operator('aten::silu');
const erfOp = operator('aten::erf');
const floorOp = operator('aten::floor');
const ceilOp = operator('aten::ceil');
const roundOp = operator('aten::round');
const signOp = operator('aten::sign');
const isnanOp = operator('aten::isnan');
const isfiniteOp = operator('aten::isfinite');
const logicalNotOp = operator('aten::logical_not');
const geluOp = operator('aten::gelu');
const eqTensor = operator('aten::eq.Tensor');
const eqScalar = operator('aten::eq.Scalar');
const neTensor = operator('aten::ne.Tensor');
const neScalar = operator('aten::ne.Scalar');
const ltTensor = operator('aten::lt.Tensor');
const ltScalar = operator('aten::lt.Scalar');
const leTensor = operator('aten::le.Tensor');
const leScalar = operator('aten::le.Scalar');
const gtTensor = operator('aten::gt.Tensor');
const gtScalar = operator('aten::gt.Scalar');
const geTensor = operator('aten::ge.Tensor');
const geScalar = operator('aten::ge.Scalar');
const logicalAndOp = operator('aten::logical_and');
const logicalOrOp = operator('aten::logical_or');
const maskedFillTensor = operator('aten::masked_fill.Tensor');
const maskedFillScalar = operator('aten::masked_fill.Scalar');
const whereOp = operator('aten::where.self');
const maskedSelectOp = operator('aten::masked_select');
const equalOp = operator('aten::equal');
const allcloseOp = operator('aten::allclose');
const matmulOp = operator('aten::matmul');
const mmOp = operator('aten::mm');
const bmmOp = operator('aten::bmm');
const addmmOp = operator('aten::addmm');
const sumAll = operator('aten::sum');
const sumDim = operator('aten::sum.dim_IntList');
const meanAll = operator('aten::mean');
const meanDim = operator('aten::mean.dim');
const varOp = operator('aten::var.correction');
const stdOp = operator('aten::std.correction');
const vectorNorm = operator('aten::linalg_vector_norm');
const maxAll = operator('aten::max');
const amaxOp = operator('aten::amax');
const argmaxOp = operator('aten::argmax');
const minAll = operator('aten::min');
const aminOp = operator('aten::amin');
const argminOp = operator('aten::argmin');
const allOp = operator('aten::all');
const anyOp = operator('aten::any');
const cumsumOp = operator('aten::cumsum');
const logsumexpOp = operator('aten::logsumexp');
const softmaxOp = operator('aten::softmax.int');
const logSoftmaxOp = operator('aten::log_softmax.int');
const topkOp = operator('aten::topk');
const sortOp = operator('aten::sort');
const reshapeOp = operator('aten::reshape');
const viewOp = operator('aten::view');
const flattenOp = operator('aten::flatten.using_ints');
const transposeOp = operator('aten::transpose.int');
const permuteOp = operator('aten::permute');
const unsqueezeOp = operator('aten::unsqueeze');
const squeezeAll = operator('aten::squeeze');
const squeezeDim = operator('aten::squeeze.dim');
const expandOp = operator('aten::expand');
const repeatOp = operator('aten::repeat');
const sliceOp = operator('aten::slice.Tensor');
const narrowOp = operator('aten::narrow');
const selectOp = operator('aten::select.int');
const splitSize = operator('aten::split.Tensor');
const splitSizes = operator('aten::split_with_sizes');
const chunkOp = operator('aten::chunk');
const unbindOp = operator('aten::unbind.int');
const flipOp = operator('aten::flip');
const rollOp = operator('aten::roll');
const padOp = operator('aten::constant_pad_nd');
const triuOp = operator('aten::triu');
const trilOp = operator('aten::tril');
const unfoldOp = operator('aten::unfold');
const indexSelectOp = operator('aten::index_select');
const gatherOp = operator('aten::gather');
const scatterTensor = operator('aten::scatter.src');
const scatterValue = operator('aten::scatter.value');
const indexAddOp = operator('aten::index_add');
const nonzeroOp = operator('aten::nonzero');
const cloneOp = operator('aten::clone');
const contiguousOp = operator('aten::contiguous');
const detachOp = operator('aten::detach');
const toDtype = operator('aten::to.dtype');
const toDevice = operator('aten::to.device');
const copyInPlace = operator('aten::copy_');
const fillInPlace = operator('aten::fill_.Scalar');
const zeroInPlace = operator('aten::zero_');
const normalInPlace = operator('aten::normal_');
const uniformInPlace = operator('aten::uniform_');
const multinomialOp = operator('aten::multinomial');
const indexTensor = operator('aten::index.Tensor');

/** null = all dimensions, one number = that one. */
function dimensions(dim: number | readonly number[] | null): readonly number[] | null {
  return typeof dim === 'number' ? [dim] : dim;
}

/** Elements to copy out. @throws ArgumentError where there is no data or more than an array can hold. */
function readableLength(tensor: Tensor, doing: string): number {
  if (tensor.device === 'meta')
    throw new ArgumentError(`${doing}: a tensor on the device meta holds no data`);
  if (tensor.numel > 2 ** 32) throw new ArgumentError(`${doing}: ${tensor} is too large for a typed array`);
  return tensor.numel;
}

type Question =
  | 'shape'
  | 'dtype'
  | 'device'
  | 'strides'
  | 'isContiguous'
  | 'bytes'
  | 'requiresGrad'
  | 'isLeaf'
  | 'grad';

/** What the bridge knows of a tensor, with the errors of `guard` but without its closures. */
function ask<Q extends Question>(tensor: Tensor, question: Q): ReturnType<Binding[Q]>;
function ask(tensor: Tensor, question: Question): unknown {
  try {
    return native()[question](tensor.live(question));
  } catch (fault) {
    // Not describeValue: that would ask the tensor again.
    throw translateFault(fault, question, () => `handle ${tensor.handle}`);
  }
}

/** An n-dimensional array in libtorch's memory, with autograd. */
export class Tensor extends TensorHandle {
  /** @internal Use the factories (`tensor`, `zeros`, …) or methods. */
  constructor(handle: number) {
    super(handle);
  }

  /** Sizes of the dimensions. */
  get shape(): readonly number[] {
    if (this.knownShape === null || this.handle < 0) this.knownShape = ask(this, 'shape');
    return this.knownShape;
  }

  /** Size of one dimension; negative counts from the last. */
  size(dim: number): number {
    const size = this.shape.at(dim);
    if (size === undefined)
      throw new ArgumentError(`size: dimension ${dim} of a tensor of shape [${this.shape}]`);
    return size;
  }

  /** Number of dimensions. */
  get ndim(): number {
    return this.shape.length;
  }

  /** Number of elements. */
  get numel(): number {
    return this.shape.reduce((product, size) => product * size, 1);
  }

  get dtype(): DType {
    return dtypeOfCode(ask(this, 'dtype'));
  }

  /** `cpu`, `cuda:0`, … */
  get device(): string {
    return ask(this, 'device');
  }

  /** Steps in elements between neighbours along each dimension. */
  get strides(): readonly number[] {
    return ask(this, 'strides');
  }

  get isContiguous(): boolean {
    return ask(this, 'isContiguous');
  }

  /** Bytes of its elements (views share a storage, so the sum over tensors may exceed what is allocated). */
  get byteLength(): number {
    return ask(this, 'bytes');
  }

  // ---- autograd ------------------------------------------------------------------------------------------------
  get requiresGrad(): boolean {
    return ask(this, 'requiresGrad');
  }

  set requiresGrad(value: boolean) {
    guard('requiresGrad', [this, value], () => native().setRequiresGrad(this.handle, value));
  }

  get isLeaf(): boolean {
    return ask(this, 'isLeaf');
  }

  /** The gradient that `backward` has summed up, or null. A new handle to the same memory at each look. */
  get grad(): Tensor | null {
    return wrapHandle(ask(this, 'grad'));
  }

  set grad(gradient: Tensor | null) {
    guard('grad', [this, gradient], () =>
      native().setGrad(this.handle, gradient === null ? null : gradient.handle),
    );
  }

  /** Adds the gradients of this tensor to the leaves it was computed from. A scalar needs no `gradient`. */
  backward(
    gradient: Tensor | null = null,
    options: { retainGraph?: boolean; createGraph?: boolean } = {},
  ): void {
    const { createGraph = false, retainGraph = createGraph } = options;
    const seeds = gradient === null ? null : [gradient.live('backward')];
    guard('backward', [this, gradient], () =>
      native().backward([this.handle], seeds, retainGraph, createGraph),
    );
  }

  // ---- reading -------------------------------------------------------------------------------------------------
  /** The only element. @throws ArgumentError when there is not exactly one. */
  item(): number {
    return Number(guard('item', [this], () => native().item(this.handle)));
  }

  /** A copy of the elements in row-major order: float16 and bfloat16 as raw bits in a Uint16Array, int64 as bigints. */
  toTypedArray(): TypedArray {
    const array = newTypedArray(this.dtype, readableLength(this, 'toTypedArray'));
    guard('toTypedArray', [this], () => native().copyTo(this.handle, array));
    return array;
  }

  /** A copy of the elements as float32, whatever the dtype. */
  toFloat32Array(): Float32Array {
    const array = new Float32Array(readableLength(this, 'toFloat32Array'));
    const converted = this.dtype === 'float32' ? this : toDtype(this.detach(), 'float32');
    guard('toFloat32Array', [this], () => native().copyTo(converted.handle, array));
    if (converted !== this) converted.dispose();
    return array;
  }

  /**
   * A typed array over this tensor's own memory, without a copy: writing to one shows in the other. The memory lives as long
   * as either. Only for contiguous CPU tensors; autograd does not see what is written.
   */
  share(): TypedArray {
    return typedArrayOver(
      this.dtype,
      guard('share', [this], () => native().share(this.handle)),
    );
  }

  /** The elements as nested arrays, as PyTorch's `tolist`. */
  tolist(): Nested {
    const flat =
      this.dtype === 'float16' || this.dtype === 'bfloat16' ? this.toFloat32Array() : this.toTypedArray();
    const isBool = this.dtype === 'bool';
    const build = (dim: number, offset: number, stride: number): Nested => {
      if (dim === this.ndim) return isBool ? flat[offset] === 1 : flat[offset]!;
      const size = this.shape[dim]!;
      const inner = size === 0 ? 0 : stride / size;
      return Array.from({ length: size }, (_, i) => build(dim + 1, offset + i * inner, inner));
    };
    return build(0, 0, this.numel);
  }

  /**
   * PyTorch's indexing: `x.get(0)` is `x[0]`, `x.get('...', [1, null])` is `x[..., 1:]`, `x.get(null, ids)` is
   * `x[None, ids]`. Integers and ranges give views; tensors of indices copy.
   */
  get(...indices: Index[]): Tensor {
    const used = indices.reduce((total: number, index) => total + dimensionsOf(index), 0);
    if (used > this.ndim)
      throw new ArgumentError(`get: ${used} indices for a tensor of ${this.ndim} dimensions`);
    if (indices.indexOf('...') !== indices.lastIndexOf('...'))
      throw new ArgumentError("get: '...' may stand only once");
    let result: Tensor = this;
    let dim = 0;
    const picks: (Tensor | null)[] = [];
    for (const index of indices) {
      if (typeof index === 'number') {
        result = result.select(dim, index);
      } else if (index instanceof Tensor) {
        picks[dim] = index;
        dim += dimensionsOf(index);
      } else if (index === null) {
        result = result.unsqueeze(dim++);
      } else if (index === '...') {
        dim += this.ndim - used;
      } else {
        result = result.slice(dim++, index[0], index[1] ?? null, index[2] ?? 1);
      }
    }
    if (picks.length > 0) return pickFrom(result, picks);
    return result === this ? this.view(this.shape) : result;
  }

  override toString(): string {
    return this.isDisposed ? 'a freed tensor' : `${dtypeLabel(ask(this, 'dtype'))}[${this.shape.join(',')}]`;
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    if (this.isDisposed) return 'Tensor(freed)';
    const shown =
      this.numel <= 64 && this.device !== 'meta'
        ? `, ${JSON.stringify(this.tolist(), (_, v) => (typeof v === 'bigint' ? Number(v) : v))}`
        : '';
    return `Tensor(${this.toString()}${shown})`;
  }

  // ---- arithmetic (broadcasting) -------------------------------------------------------------------------------

  /** this + alpha * other; alpha is 1 unless given. */
  add(other: Tensor | Scalar, alpha?: Scalar): Tensor {
    return other instanceof Tensor ? addTensor(this, other, alpha) : addScalar(this, other, alpha);
  }

  /** this - alpha * other; alpha is 1 unless given. */
  sub(other: Tensor | Scalar, alpha?: Scalar): Tensor {
    return other instanceof Tensor ? subTensor(this, other, alpha) : subScalar(this, other, alpha);
  }

  /** this * other. */
  mul(other: Tensor | Scalar): Tensor {
    return other instanceof Tensor ? mulTensor(this, other) : mulScalar(this, other);
  }

  /** this / other; true division, integers become floats. */
  div(other: Tensor | Scalar): Tensor {
    return other instanceof Tensor ? divTensor(this, other) : divScalar(this, other);
  }

  /** this raised to exponent. */
  pow(exponent: Tensor | Scalar): Tensor {
    return exponent instanceof Tensor ? powTensor(this, exponent) : powScalar(this, exponent);
  }

  /** Remainder with the sign of other. */
  remainder(other: Tensor | Scalar): Tensor {
    return other instanceof Tensor ? remainderTensor(this, other) : remainderScalar(this, other);
  }

  /** Division rounded toward minus infinity. */
  floorDivide(other: Tensor | Scalar): Tensor {
    return other instanceof Tensor ? floorDivideTensor(this, other) : floorDivideScalar(this, other);
  }

  /** Adds alpha * other in place. */
  add_(other: Tensor | Scalar, alpha?: Scalar): this {
    if (other instanceof Tensor) addTensorInPlace(this, other, alpha);
    else addScalarInPlace(this, other, alpha);
    return this;
  }

  /** Subtracts alpha * other in place. */
  sub_(other: Tensor | Scalar, alpha?: Scalar): this {
    if (other instanceof Tensor) subTensorInPlace(this, other, alpha);
    else subScalarInPlace(this, other, alpha);
    return this;
  }

  /** Multiplies in place. */
  mul_(other: Tensor | Scalar): this {
    if (other instanceof Tensor) mulTensorInPlace(this, other);
    else mulScalarInPlace(this, other);
    return this;
  }

  /** Divides in place. */
  div_(other: Tensor | Scalar): this {
    if (other instanceof Tensor) divTensorInPlace(this, other);
    else divScalarInPlace(this, other);
    return this;
  }

  /** Elementwise maximum. */
  maximum(other: Tensor): Tensor {
    return maximumOp(this, other);
  }

  /** Elementwise minimum. */
  minimum(other: Tensor): Tensor {
    return minimumOp(this, other);
  }

  /** Limits to [min, max]; null leaves a side open. */
  clamp(min: Scalar | null, max: Scalar | null = null): Tensor {
    return clampOp(this, min, max);
  }

  /** this + weight * (end - this). */
  lerp(end: Tensor, weight: Scalar): Tensor {
    return lerpOp(this, end, weight);
  }

  // ---- elementwise functions -----------------------------------------------------------------------------------

  /** -x. */
  neg(): Tensor {
    return negOp(this);
  }

  /** |x|. */
  abs(): Tensor {
    return absOp(this);
  }

  /** e^x. */
  exp(): Tensor {
    return expOp(this);
  }

  /** Natural logarithm. */
  log(): Tensor {
    return logOp(this);
  }

  /** Logarithm to base 2. */
  log2(): Tensor {
    return log2Op(this);
  }

  /** Square root. */
  sqrt(): Tensor {
    return sqrtOp(this);
  }

  /** 1 / square root. */
  rsqrt(): Tensor {
    return rsqrtOp(this);
  }

  /** 1 / x. */
  reciprocal(): Tensor {
    return reciprocalOp(this);
  }

  /** x * x. */
  square(): Tensor {
    return squareOp(this);
  }

  /** Sine. */
  sin(): Tensor {
    return sinOp(this);
  }

  /** Cosine. */
  cos(): Tensor {
    return cosOp(this);
  }

  /** Hyperbolic tangent. */
  tanh(): Tensor {
    return tanhOp(this);
  }

  /** 1 / (1 + e^-x). */
  sigmoid(): Tensor {
    return sigmoidOp(this);
  }

  /** max(x, 0). */
  relu(): Tensor {
    return reluOp(this);
  }

  /** x * sigmoid(x). */
  silu(): Tensor {
    return siluOp(this);
  }

  /** Error function. */
  erf(): Tensor {
    return erfOp(this);
  }

  /** Rounded down. */
  floor(): Tensor {
    return floorOp(this);
  }

  /** Rounded up. */
  ceil(): Tensor {
    return ceilOp(this);
  }

  /** Rounded to the nearest, halves to even. */
  round(): Tensor {
    return roundOp(this);
  }

  /** -1, 0 or 1. */
  sign(): Tensor {
    return signOp(this);
  }

  /** True where NaN. */
  isnan(): Tensor {
    return isnanOp(this);
  }

  /** True where neither NaN nor infinite. */
  isfinite(): Tensor {
    return isfiniteOp(this);
  }

  /** True where zero. */
  logicalNot(): Tensor {
    return logicalNotOp(this);
  }

  /** x * Phi(x): the exact erf form, or its tanh approximation. */
  gelu(approximate: 'none' | 'tanh' = 'none'): Tensor {
    return geluOp(this, approximate);
  }

  // ---- comparison and choice -----------------------------------------------------------------------------------

  /** this == other. Elementwise, as bool. */
  eq(other: Tensor | Scalar): Tensor {
    return other instanceof Tensor ? eqTensor(this, other) : eqScalar(this, other);
  }

  /** this != other. Elementwise, as bool. */
  ne(other: Tensor | Scalar): Tensor {
    return other instanceof Tensor ? neTensor(this, other) : neScalar(this, other);
  }

  /** this < other. Elementwise, as bool. */
  lt(other: Tensor | Scalar): Tensor {
    return other instanceof Tensor ? ltTensor(this, other) : ltScalar(this, other);
  }

  /** this <= other. Elementwise, as bool. */
  le(other: Tensor | Scalar): Tensor {
    return other instanceof Tensor ? leTensor(this, other) : leScalar(this, other);
  }

  /** this > other. Elementwise, as bool. */
  gt(other: Tensor | Scalar): Tensor {
    return other instanceof Tensor ? gtTensor(this, other) : gtScalar(this, other);
  }

  /** this >= other. Elementwise, as bool. */
  ge(other: Tensor | Scalar): Tensor {
    return other instanceof Tensor ? geTensor(this, other) : geScalar(this, other);
  }

  /** True where both are true. */
  logicalAnd(other: Tensor): Tensor {
    return logicalAndOp(this, other);
  }

  /** True where either is true. */
  logicalOr(other: Tensor): Tensor {
    return logicalOrOp(this, other);
  }

  /** value where mask is true, else this. */
  maskedFill(mask: Tensor, value: Tensor | Scalar): Tensor {
    return value instanceof Tensor
      ? maskedFillTensor(this, mask, value)
      : maskedFillScalar(this, mask, value);
  }

  /** this where condition is true, else other. */
  where(condition: Tensor, other: Tensor): Tensor {
    return whereOp(condition, this, other);
  }

  /** The elements where mask is true, in one dimension. */
  maskedSelect(mask: Tensor): Tensor {
    return maskedSelectOp(this, mask);
  }

  /** True when shapes, dtypes and every element are equal; a NaN equals nothing. */
  equal(other: Tensor): boolean {
    return equalOp(this, other);
  }

  /** True when |this - other| <= atol + rtol * |other| everywhere. */
  allclose(other: Tensor, rtol = 1e-5, atol = 1e-8, equalNan = false): boolean {
    return allcloseOp(this, other, rtol, atol, equalNan);
  }

  // ---- linear algebra ------------------------------------------------------------------------------------------

  /** Matrix product with broadcasting over leading dimensions. */
  matmul(other: Tensor): Tensor {
    return matmulOp(this, other);
  }

  /** Matrix product (n,m) x (m,p). */
  mm(other: Tensor): Tensor {
    return mmOp(this, other);
  }

  /** Batched matrix product (b,n,m) x (b,m,p). */
  bmm(other: Tensor): Tensor {
    return bmmOp(this, other);
  }

  /** beta * this + alpha * (a x b). */
  addmm(a: Tensor, b: Tensor, beta: Scalar = 1, alpha: Scalar = 1): Tensor {
    return addmmOp(this, a, b, beta, alpha);
  }

  // ---- reductions ----------------------------------------------------------------------------------------------

  /** Sum over some dimensions, or over all. */
  sum(dim: number | readonly number[] | null = null, keepdim = false): Tensor {
    return dim === null && !keepdim ? sumAll(this) : sumDim(this, dimensions(dim), keepdim);
  }

  /** Mean over some dimensions, or over all. */
  mean(dim: number | readonly number[] | null = null, keepdim = false): Tensor {
    return dim === null && !keepdim ? meanAll(this) : meanDim(this, dimensions(dim), keepdim);
  }

  /** Variance; correction 1 divides by n - 1, 0 by n. */
  variance(dim: number | readonly number[] | null = null, correction = 1, keepdim = false): Tensor {
    return varOp(this, dimensions(dim), correction, keepdim);
  }

  /** Standard deviation; correction 1 divides by n - 1, 0 by n. */
  std(dim: number | readonly number[] | null = null, correction = 1, keepdim = false): Tensor {
    return stdOp(this, dimensions(dim), correction, keepdim);
  }

  /** Euclidean norm over some dimensions, or over all. */
  norm(dim: number | readonly number[] | null = null, keepdim = false): Tensor {
    return vectorNorm(this, 2, dimensions(dim), keepdim);
  }

  /** The largest element of all. */
  max(): Tensor {
    return maxAll(this);
  }

  /** The largest elements along a dimension. */
  amax(dim: number | readonly number[], keepdim = false): Tensor {
    return amaxOp(this, dimensions(dim) ?? [], keepdim);
  }

  /** Where the largest element lies along a dimension, or in the flattened tensor. */
  argmax(dim: number | null = null, keepdim = false): Tensor {
    return argmaxOp(this, dim, keepdim);
  }

  /** The smallest element of all. */
  min(): Tensor {
    return minAll(this);
  }

  /** The smallest elements along a dimension. */
  amin(dim: number | readonly number[], keepdim = false): Tensor {
    return aminOp(this, dimensions(dim) ?? [], keepdim);
  }

  /** Where the smallest element lies along a dimension, or in the flattened tensor. */
  argmin(dim: number | null = null, keepdim = false): Tensor {
    return argminOp(this, dim, keepdim);
  }

  /** True when every element is. */
  all(): Tensor {
    return allOp(this);
  }

  /** True when any element is. */
  any(): Tensor {
    return anyOp(this);
  }

  /** Running sum. */
  cumsum(dim: number): Tensor {
    return cumsumOp(this, dim);
  }

  /** log(sum(exp(x))) without overflow. */
  logsumexp(dim: number | readonly number[], keepdim = false): Tensor {
    return logsumexpOp(this, dimensions(dim) ?? [], keepdim);
  }

  /** exp(x) / sum(exp(x)) along a dimension. */
  softmax(dim: number, dtype: DType | null = null): Tensor {
    return softmaxOp(this, dim, dtype);
  }

  /** Logarithm of softmax. */
  logSoftmax(dim: number, dtype: DType | null = null): Tensor {
    return logSoftmaxOp(this, dim, dtype);
  }

  /** The k largest (or smallest) along a dimension: values and indices. */
  topk(k: number, dim = -1, largest = true, sorted = true): [Tensor, Tensor] {
    return topkOp(this, k, dim, largest, sorted);
  }

  /** Sorted along a dimension: values and indices. */
  sort(dim = -1, descending = false): [Tensor, Tensor] {
    return sortOp(this, dim, descending);
  }

  // ---- shape (views where PyTorch gives views) -----------------------------------------------------------------

  /** Another shape for the same elements; one size may be -1. */
  reshape(shape: readonly number[]): Tensor {
    return reshapeOp(this, shape);
  }

  /** As reshape, but refuses to copy. */
  view(shape: readonly number[]): Tensor {
    return viewOp(this, shape);
  }

  /** Dimensions start to end as one. */
  flatten(start = 0, end = -1): Tensor {
    return flattenOp(this, start, end);
  }

  /** One dimension as several. */
  unflatten(dim: number, sizes: readonly number[]): Tensor {
    // Spreading `new Array(4e9)` would end the process.
    if (!Array.isArray(sizes) || sizes.length > 64)
      throw new ArgumentError(`unflatten: expected an array of sizes, received ${describeValue(sizes)}`);
    const shape = this.shape;
    const at = dim < 0 ? dim + shape.length : dim;
    return this.reshape([...shape.slice(0, at), ...sizes, ...shape.slice(at + 1)]);
  }

  /** Two dimensions exchanged. */
  transpose(dim0: number, dim1: number): Tensor {
    return transposeOp(this, dim0, dim1);
  }

  /** Dimensions in another order. */
  permute(dims: readonly number[]): Tensor {
    return permuteOp(this, dims);
  }

  /** A new dimension of size 1. */
  unsqueeze(dim: number): Tensor {
    return unsqueezeOp(this, dim);
  }

  /** Dimensions of size 1 removed: one, or all. */
  squeeze(dim: number | null = null): Tensor {
    return dim === null ? squeezeAll(this) : squeezeDim(this, dim);
  }

  /** Sizes of 1 repeated without copying; -1 keeps a size. */
  expand(shape: readonly number[]): Tensor {
    return expandOp(this, shape);
  }

  /** Repeated by copying, this many times along each dimension. */
  repeat(times: readonly number[]): Tensor {
    return repeatOp(this, times);
  }

  /** Elements start to end (excluded) of a dimension. */
  slice(dim: number, start: number | null = null, end: number | null = null, step = 1): Tensor {
    return sliceOp(this, dim, start, end, step);
  }

  /** `length` elements from `start` on; refuses what lies outside. */
  narrow(dim: number, start: number, length: number): Tensor {
    return narrowOp(this, dim, start, length);
  }

  /** One index of a dimension, which disappears. */
  select(dim: number, index: number): Tensor {
    return selectOp(this, dim, index);
  }

  /** Cut into pieces of this size, or these sizes. */
  split(sizes: number | readonly number[], dim = 0): Tensor[] {
    return typeof sizes === 'number' ? splitSize(this, sizes, dim) : splitSizes(this, sizes, dim);
  }

  /** Cut into this many pieces. */
  chunk(count: number, dim = 0): Tensor[] {
    return chunkOp(this, count, dim);
  }

  /** Every slice of a dimension. */
  unbind(dim = 0): Tensor[] {
    return unbindOp(this, dim);
  }

  /** Reversed along dimensions. */
  flip(dims: readonly number[]): Tensor {
    return flipOp(this, dims);
  }

  /** Rolled around along dimensions. */
  roll(shifts: readonly number[], dims: readonly number[]): Tensor {
    return rollOp(this, shifts, dims);
  }

  /** Padded with a value: [before, after] pairs from the last dimension backwards; negative sizes cut. */
  pad(sizes: readonly number[], value: Scalar = 0): Tensor {
    return padOp(this, sizes, value);
  }

  /** Upper triangle from a diagonal on. */
  triu(diagonal = 0): Tensor {
    return triuOp(this, diagonal);
  }

  /** Lower triangle up to a diagonal. */
  tril(diagonal = 0): Tensor {
    return trilOp(this, diagonal);
  }

  /** Sliding windows along a dimension as a view with a new last dimension. */
  unfold(dim: number, size: number, step: number): Tensor {
    return unfoldOp(this, dim, size, step);
  }

  // ---- indexing ------------------------------------------------------------------------------------------------

  /** Rows of a dimension by an int tensor of indices. */
  indexSelect(dim: number, index: Tensor): Tensor {
    return indexSelectOp(this, dim, index);
  }

  /** out[i][j] = this[i][index[i][j]] for dim 1, and so on. */
  gather(dim: number, index: Tensor): Tensor {
    return gatherOp(this, dim, index);
  }

  /** A copy with source written where index says. */
  scatter(dim: number, index: Tensor, source: Tensor | Scalar): Tensor {
    return source instanceof Tensor
      ? scatterTensor(this, dim, index, source)
      : scatterValue(this, dim, index, source);
  }

  /** A copy with source added where index says. */
  indexAdd(dim: number, index: Tensor, source: Tensor): Tensor {
    return indexAddOp(this, dim, index, source);
  }

  /** Indices of the elements that are not zero, one row each. */
  nonzero(): Tensor {
    return nonzeroOp(this);
  }

  // ---- copies, dtype, device -----------------------------------------------------------------------------------

  /** A copy with its own memory. */
  clone(): Tensor {
    return cloneOp(this);
  }

  /** Itself if its elements lie in row-major order, else a copy that does. */
  contiguous(): Tensor {
    return contiguousOp(this);
  }

  /** The same elements outside the autograd graph. */
  detach(): Tensor {
    return detachOp(this);
  }

  /** Another dtype or device; itself when nothing changes. */
  to(target: DType | TensorOptions): Tensor {
    const { dtype, device } = typeof target === 'string' ? { dtype: target, device: undefined } : target;
    if (device === undefined) return dtype === undefined ? this : toDtype(this, dtype);
    return toDevice(this, device, dtype ?? this.dtype);
  }

  /** Copies the elements of source into this one, broadcasting and converting. */
  copy_(source: Tensor): this {
    copyInPlace(this, source);
    return this;
  }

  /** Every element becomes value. */
  fill_(value: Scalar): this {
    fillInPlace(this, value);
    return this;
  }

  /** Every element becomes 0. */
  zero_(): this {
    zeroInPlace(this);
    return this;
  }

  /** Filled with normal random numbers. */
  normal_(mean = 0, std = 1): this {
    normalInPlace(this, mean, std);
    return this;
  }

  /** Filled with uniform random numbers from [low, high). */
  uniform_(low = 0, high = 1): this {
    uniformInPlace(this, low, high);
    return this;
  }

  // ---- random choice -------------------------------------------------------------------------------------------

  /** Draws `count` indices per row with these (not necessarily normalised) weights. */
  multinomial(count: number, replacement = false): Tensor {
    return multinomialOp(this, count, replacement);
  }
}

/** Dimensions of its tensor that one step of `get` takes: a mask as many as it has itself. */
function dimensionsOf(index: Index): number {
  if (index === null || index === '...') return 0;
  if (index instanceof Tensor) return index.dtype === 'bool' ? index.ndim : 1;
  if (typeof index === 'number' || Array.isArray(index)) return 1;
  throw new ArgumentError(
    `get: expected a number, a range, null, '...' or a Tensor, received ${describeValue(index)}`,
  );
}

/** Advanced indexing: `picks[d]` chooses along dimension d; libtorch wants None elsewhere and a mask only once. */
function pickFrom(source: Tensor, picks: readonly (Tensor | null)[]): Tensor {
  const list: (Tensor | null)[] = [];
  for (let dim = 0; dim < picks.length; dim++) {
    const pick = picks[dim] ?? null;
    list.push(pick);
    if (pick !== null) dim += Math.max(dimensionsOf(pick) - 1, 0);
  }
  return indexTensor(source, list);
}

registerTensorClass((handle) => new Tensor(handle));
