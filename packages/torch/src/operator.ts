/**
 * Operators by name. Every operator of the dispatcher, PyTorch's and custom ones alike, becomes a function whose
 * arguments are checked and converted by its schema: positional, in the schema's order; `undefined` means the
 * schema's default and `null` means None.
 */
import type { NativeArgument, NativeSchema } from './binding.js';
import { type DType, dtypeCode } from './dtype.js';
import { ArgumentError, translateFault } from './errors.js';
import { adopt, TensorHandle } from './handle.js';
import { native } from './load.js';
import type { OperatorSignatures } from './operators.generated.js';
import type { Tensor } from './tensor.js';

/** A number, or a boolean or bigint where the operator takes a scalar of that kind. Whole numbers act as integers. */
export type Scalar = number | bigint | boolean;

export type OperatorName = keyof OperatorSignatures;
type AnyFunction = (...values: never[]) => unknown;

/** How a value crosses the boundary, decided once per parameter from its schema type. */
type Convert = (value: unknown) => unknown;

interface Resolved {
  readonly name: string;
  readonly id: number;
  readonly parameters: readonly NativeArgument[];
  readonly converts: readonly (Convert | null)[];
  readonly returnsOneTensor: boolean;
  readonly returnsTensors: readonly boolean[];
  readonly inPlace: boolean;
}

/** One recorded call: what `recordOps` sees. */
export type CallObserver = (name: string, values: readonly unknown[], result: unknown) => void;

let observer: CallObserver | null = null;
let makeTensor: ((handle: number) => TensorHandle) | null = null;

/** @internal Sets the observer of all calls and gives back the one before. */
export function observeCalls(next: CallObserver | null): CallObserver | null {
  const before = observer;
  observer = next;
  return before;
}

/** @internal tensor.ts says how a handle becomes a Tensor; this file cannot import it without a circle. */
export function registerTensorClass(make: (handle: number) => TensorHandle): void {
  makeTensor = make;
}

/** @internal A Tensor for a handle that the bridge has just made; null for -1. */
export function wrapHandle(handle: number): Tensor | null {
  if (handle < 0) return null;
  const tensor = makeTensor!(handle);
  adopt(tensor);
  return tensor as Tensor;
}

/** @internal Runs a bridge call that is not an operator, with the same errors. */
export function guard<T>(name: string, values: readonly unknown[], run: () => T): T {
  try {
    return run();
  } catch (fault) {
    throw translateFault(fault, name, () => describeValues(values));
  }
}

/**
 * The function that calls an operator. Nothing is looked up, and libtorch is not loaded, before its first call.
 *
 * @param name namespace, name and overload: `aten::add.Tensor`, `aten::relu`, `tls::adamw_`.
 */
export function operator<Name extends OperatorName>(name: Name): OperatorSignatures[Name];
export function operator<Signature extends AnyFunction>(name: string): Signature;
export function operator(name: string): AnyFunction {
  let resolved: Resolved | null = null;
  return (...values: unknown[]) => {
    if (resolved === null) resolved = resolve(name);
    return invoke(resolved, values);
  };
}

/** Calls an operator by name once; `operator(name)` is faster for repeated calls. */
export function call(name: string, ...values: unknown[]): unknown {
  return invoke(resolve(name), values);
}

/** The schema of an operator, as libtorch prints it. @throws ArgumentError where no such operator exists. */
export function operatorSchema(name: string): string {
  return schemaOf(resolve(name).id).text;
}

/** Every registered operator as `namespace::name.overload`, sorted. */
export function operatorNames(): string[] {
  return native().operatorNames().sort();
}

/** Loads a shared library that registers operators (`TORCH_LIBRARY`); they are then called like any other. */
export function loadLibrary(path: string): void {
  guard('loadLibrary', [path], () => native().loadLibrary(path));
}

const resolvedByName = new Map<string, Resolved>();

function resolve(name: string): Resolved {
  const known = resolvedByName.get(name);
  if (known !== undefined) return known;
  const id = findId(name);
  const schema = schemaOf(id);
  const returnsTensors = schema.returns.map((result) => result.type === 'Tensor');
  const resolved: Resolved = {
    name,
    id,
    parameters: schema.parameters,
    converts: schema.parameters.map((parameter) => conversionFor(parameter.type)),
    returnsOneTensor: schema.returns.length === 1 && returnsTensors[0] === true,
    returnsTensors: schema.returns.map((result) => result.type.startsWith('Tensor')),
    inPlace: schema.inPlace,
  };
  resolvedByName.set(name, resolved);
  return resolved;
}

function schemaOf(id: number): NativeSchema {
  return native().operatorSchema(id);
}

function findId(name: string): number {
  if (typeof name !== 'string')
    throw new ArgumentError(`expected an operator's name, received ${describeValue(name)}`);
  const dot = name.indexOf('.');
  const id = native().findOperator(dot < 0 ? name : name.slice(0, dot), dot < 0 ? '' : name.slice(dot + 1));
  if (id >= 0) return id;
  const base = dot < 0 ? name : name.slice(0, dot);
  const overloads = native()
    .operatorNames()
    .filter((other) => other === base || other.startsWith(`${base}.`));
  const hint = overloads.length > 0 ? `; its overloads are ${overloads.sort().join(', ')}` : '';
  throw new ArgumentError(`no operator named ${name}${hint}`, name);
}

// ---- converting arguments --------------------------------------------------------------------------------------

function tensorToHandle(value: unknown): unknown {
  if (value instanceof TensorHandle) return value.handle;
  if (value === undefined || value === null) return value;
  throw new ArgumentError(`expected a Tensor, received ${describeValue(value)}`);
}

function tensorsToHandles(value: unknown): unknown {
  if (!Array.isArray(value))
    throw new ArgumentError(`expected an array of Tensors, received ${describeValue(value)}`);
  return value.map(tensorToHandle);
}

function dtypeToCode(value: unknown): unknown {
  return value === undefined || value === null ? value : dtypeCode(value as DType);
}

function toPlainArray(value: unknown): unknown {
  return ArrayBuffer.isView(value) ? Array.from(value as Int32Array) : value;
}

function conversionFor(type: string): Convert | null {
  const plain = type.endsWith('?') ? type.slice(0, -1) : type;
  if (plain === 'Tensor') return tensorToHandle;
  if (plain === 'Tensor[]' || plain === 'Tensor?[]') return tensorsToHandles;
  if (plain === 'ScalarType') return dtypeToCode;
  if (/\[\d*\]$/.test(plain)) return toPlainArray;
  return null;
}

function convertAt(op: Resolved, values: readonly unknown[], index: number): unknown {
  const convert = op.converts[index];
  const value = values[index];
  if (convert === null || convert === undefined) return value;
  try {
    return convert(value);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const parameter = op.parameters[index]?.name;
    throw new ArgumentError(`${op.name}: argument ${index + 1} (${parameter}): ${error.message}`, op.name);
  }
}

// ---- calling ---------------------------------------------------------------------------------------------------

function invoke(op: Resolved, values: readonly unknown[]): unknown {
  let raw: unknown;
  try {
    raw = callNative(op, values);
  } catch (fault) {
    throw translateFault(fault, op.name, () => describeValues(values));
  }
  const result = op.inPlace ? values[0] : wrapResult(op, raw);
  if (op.inPlace) (result as TensorHandle).knownShape = null;
  if (observer !== null) observer(op.name, values, result);
  return result;
}

/** Spreading an array into a native call is slow, so the usual counts are written out. */
function callNative(op: Resolved, values: readonly unknown[]): unknown {
  const { call } = native();
  switch (values.length) {
    case 1:
      return call(op.id, convertAt(op, values, 0));
    case 2:
      return call(op.id, convertAt(op, values, 0), convertAt(op, values, 1));
    case 3:
      return call(op.id, convertAt(op, values, 0), convertAt(op, values, 1), convertAt(op, values, 2));
    case 4:
      return call(
        op.id,
        convertAt(op, values, 0),
        convertAt(op, values, 1),
        convertAt(op, values, 2),
        convertAt(op, values, 3),
      );
    default:
      return call(op.id, ...values.map((_, index) => convertAt(op, values, index)));
  }
}

function wrapResult(op: Resolved, raw: unknown): unknown {
  if (op.returnsOneTensor) return wrapHandle(raw as number);
  if (op.returnsTensors.length === 1) return op.returnsTensors[0] ? wrapAll(raw) : raw;
  if (!Array.isArray(raw)) return raw;
  return raw.map((value, index) => (op.returnsTensors[index] ? wrapAll(value) : value));
}

function wrapAll(raw: unknown): unknown {
  return Array.isArray(raw) ? raw.map(wrapAll) : wrapHandle(raw as number);
}

// ---- describing values in errors -------------------------------------------------------------------------------

function describeValues(values: readonly unknown[]): string {
  return `(${values.map(describeValue).join(', ')})`;
}

/** One argument in a few characters: `float32[2,3]`, `[1, 2, …]`, `"sum"`. */
export function describeValue(value: unknown): string {
  if (value instanceof TensorHandle) return describeTensor(value);
  if (Array.isArray(value)) {
    const shown = value.slice(0, 8).map(describeValue).join(', ');
    return `[${shown}${value.length > 8 ? `, … ${value.length} in all` : ''}]`;
  }
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return 'a function';
  if (value !== null && typeof value === 'object')
    return `a ${value.constructor?.name ?? 'null-prototype object'}`;
  return String(value);
}

function describeTensor(tensor: TensorHandle): string {
  return tensor.isDisposed ? 'a freed tensor' : tensor.toString();
}
