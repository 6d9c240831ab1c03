/**
 * Operators by name. Every operator of the dispatcher, PyTorch's and custom ones alike, becomes a function whose
 * arguments are checked and converted by its schema: positional, in the schema's order; `undefined` means the
 * schema's default and `null` means None.
 */
import type { Binding, NativeArgument, NativeSchema } from './binding.js';
import { type DType, dtypeCode, isTypedArray } from './dtype.js';
import { ArgumentError, TorchError, translateFault } from './errors.js';
import { adopt, TensorHandle } from './handle.js';
import { native } from './load.js';
import type { OperatorSignatures } from './operators.generated.js';
import type { Tensor } from './tensor.js';

/** A number, or a boolean or bigint where the operator takes a scalar of that kind. Whole numbers act as integers. */
export type Scalar = number | bigint | boolean;

export type OperatorName = keyof OperatorSignatures;
type AnyFunction = (...values: never[]) => unknown;

/** How an argument crosses the boundary, decided once per parameter from its schema type. */
type Kind = 'tensor' | 'tensors' | 'dtype' | 'list' | 'plain';

interface Resolved {
  readonly name: string;
  readonly id: number;
  readonly call: Binding['call'];
  readonly parameters: readonly NativeArgument[];
  readonly kinds: readonly Kind[];
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
  let op: Resolved | null = null;
  // Fixed parameters, because collecting and spreading an array costs as much as the rest of the call together.
  return (a?: unknown, b?: unknown, c?: unknown, d?: unknown, ...more: unknown[]) => {
    if (op === null) op = resolve(name);
    let raw: unknown;
    try {
      raw = callNative(op, a, b, c, d, more);
    } catch (fault) {
      throw translateFault(fault, op.name, () => describeValues(given(a, b, c, d, more)));
    }
    const result = op.returnsOneTensor && !op.inPlace ? wrapHandle(raw as number) : finish(op, a, raw);
    if (observer !== null) observer(op.name, given(a, b, c, d, more), result);
    return result;
  };
}

/** Calls an operator by name once; `operator(name)` is faster for repeated calls. */
export function call(name: string, ...values: unknown[]): unknown {
  return (operator(name) as (...values: unknown[]) => unknown)(...values);
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
    call: native().call,
    kinds: schema.parameters.map((parameter) => kindOf(parameter.type)),
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

function kindOf(type: string): Kind {
  const plain = type.endsWith('?') ? type.slice(0, -1) : type;
  if (plain === 'Tensor') return 'tensor';
  if (plain === 'Tensor[]' || plain === 'Tensor?[]') return 'tensors';
  if (plain === 'ScalarType') return 'dtype';
  return /\[\d*\]$/.test(plain) ? 'list' : 'plain';
}

/** One argument as the bridge takes it: a handle for a tensor, a code for a dtype. */
function toNative(op: Resolved, index: number, value: unknown): unknown {
  const kind = op.kinds[index];
  if (kind === 'tensor' && value instanceof TensorHandle) return value.handle;
  if (kind === 'plain' || kind === undefined || value === undefined || value === null) return value;
  try {
    return convert(kind, value);
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof TorchError)) throw error;
    const parameter = op.parameters[index]?.name;
    throw new ArgumentError(`${op.name}: argument ${index + 1} (${parameter}): ${error.message}`, op.name);
  }
}

function convert(kind: Kind, value: unknown): unknown {
  switch (kind) {
    case 'tensor':
      return tensorToHandle(value);
    case 'tensors':
      return tensorsToHandles(value);
    case 'dtype':
      return dtypeCode(value as DType);
    default:
      return isTypedArray(value) ? Array.from<unknown>(value) : value;
  }
}

/** A loop, not `map`: that would look at every hole of `new Array(4e9)`, this stops at the first. */
function tensorsToHandles(value: unknown): unknown[] {
  if (!Array.isArray(value))
    throw new ArgumentError(`expected an array of Tensors, received ${describeValue(value)}`);
  const handles: unknown[] = [];
  for (const item of value) handles.push(tensorToHandle(item));
  return handles;
}

function tensorToHandle(value: unknown): unknown {
  if (value instanceof TensorHandle) return value.handle;
  if (value === null) return null;
  throw new ArgumentError(`expected a Tensor, received ${describeValue(value)}`);
}

// ---- calling ---------------------------------------------------------------------------------------------------

/** A trailing undefined is the same as an argument not given, and cheaper left out. */
function callNative(op: Resolved, a: unknown, b: unknown, c: unknown, d: unknown, more: unknown[]): unknown {
  const { call } = op;
  if (more.length > 0) {
    const values = [a, b, c, d, ...more];
    return call(op.id, ...values.map((value, index) => toNative(op, index, value)));
  }
  if (d !== undefined)
    return call(op.id, toNative(op, 0, a), toNative(op, 1, b), toNative(op, 2, c), toNative(op, 3, d));
  if (c !== undefined) return call(op.id, toNative(op, 0, a), toNative(op, 1, b), toNative(op, 2, c));
  if (b !== undefined) return call(op.id, toNative(op, 0, a), toNative(op, 1, b));
  if (a !== undefined) return call(op.id, toNative(op, 0, a));
  return call(op.id);
}

/** The arguments without the undefined ones at the end. */
function given(a: unknown, b: unknown, c: unknown, d: unknown, more: readonly unknown[]): unknown[] {
  const values = [a, b, c, d, ...more];
  return values.slice(0, values.findLastIndex((value) => value !== undefined) + 1);
}

/** The result of a call; an operator in place gives its first argument back, whose shape may have changed. */
function finish(op: Resolved, first: unknown, raw: unknown): unknown {
  if (!op.inPlace) return wrapResult(op, raw);
  (first as TensorHandle).knownShape = null;
  return first;
}

function wrapResult(op: Resolved, raw: unknown): unknown {
  if (op.returnsTensors.length === 1) return op.returnsTensors[0] ? wrapAll(raw) : raw;
  if (!Array.isArray(raw)) return raw;
  return raw.map((value, index) => (op.returnsTensors[index] ? wrapAll(value) : value));
}

function wrapAll(raw: unknown): unknown {
  return Array.isArray(raw) ? raw.map(wrapAll) : wrapHandle(raw as number);
}

// ---- describing values in errors -------------------------------------------------------------------------------

function describeValues(values: readonly unknown[]): string {
  return `(${values.map((value) => describeValue(value)).join(', ')})`;
}

/** One argument in a few characters: `float32[2,3]`, `[1, 2, …]`, `"sum"`. Never throws, whatever the value. */
export function describeValue(value: unknown, depth = 0): string {
  try {
    if (value instanceof TensorHandle) return value.toString();
    if (Array.isArray(value)) return describeArray(value, depth);
    if (typeof value === 'string')
      return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
    if (typeof value === 'bigint') return `${value}n`;
    if (typeof value === 'function') return 'a function';
    if (value === null || typeof value !== 'object') return String(value);
    const className: unknown = value.constructor?.name;
    return typeof className === 'string' ? `a ${className}` : 'a null-prototype object';
  } catch {
    return 'an object that throws when looked at';
  }
}

function describeArray(array: readonly unknown[], depth: number): string {
  if (depth === 3) return '[…]';
  const shown = array.slice(0, 8).map((value) => describeValue(value, depth + 1));
  return `[${shown.join(', ')}${array.length > 8 ? `, … ${array.length} in all` : ''}]`;
}
