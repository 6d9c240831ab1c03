/** libtorch from TypeScript: tensors with autograd over a thin Node-API bridge. */
export * from './autograd.js';
export * from './creation.js';
export * from './device.js';
export * from './distributed/index.js';
export { type DType, dtypes, isDType, isFloatingPoint, isTypedArray, type TypedArray } from './dtype.js';
export { ArgumentError, FreedTensorError, NativeLoadError, TorchError } from './errors.js';
export * from './functional.js';
export {
  fusedFor,
  fusedMapsFor,
  fusedOperatorsWanted,
  type LinearWeights,
  setFusedOperators,
} from './fused.js';
export { dispose, keep, scope } from './handle.js';
export * from './memory.js';
export * from './nn/index.js';
export {
  call,
  loadLibrary,
  type OperatorName,
  operator,
  operatorNames,
  operatorSchema,
  type Scalar,
} from './operator.js';
export type { OperatorSignatures } from './operators.generated.js';
export * from './optim/index.js';
export * from './random.js';
export * from './record.js';
export { type Index, type Nested, type Reduction, Tensor, type TensorOptions } from './tensor.js';
export {
  isTracedTensor,
  type Trace,
  type TracedCall,
  type TracedConstant,
  type TracedTensor,
  type TracedValue,
  traceCalls,
} from './trace.js';
