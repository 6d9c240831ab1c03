/**
 * Who owns native memory. JavaScript's collector does not see what a tensor weighs, so lifetimes are explicit:
 * `scope` frees what was made inside it, `dispose` (or `using`) frees one tensor. See docs/memory.md.
 */

import { FreedTensorError, translateFault } from './errors.js';
import { native } from './load.js';

/** What every tensor is underneath: a slot in the bridge's table, owned by this object alone. */
export abstract class TensorHandle {
  /** @internal Index in the bridge's table; -1 once freed. */
  handle: number;
  /** @internal The scope that will free this tensor, or null when only `dispose` or the collector does. */
  owner: Scope | null = null;
  /** @internal Sizes, kept after the first look; operations in place forget them. */
  knownShape: readonly number[] | null = null;
  /** @internal Bytes reported to V8 while the collector watches this tensor; -1 while it does not. */
  watchedBytes = -1;

  protected constructor(handle: number) {
    this.handle = handle;
  }

  /** True once the tensor was freed; every use then throws a FreedTensorError. */
  get isDisposed(): boolean {
    return this.handle < 0;
  }

  /** Frees this tensor's hold on its memory. Views and the autograd graph keep what they need. Twice is once. */
  dispose(): void {
    if (this.handle < 0) return;
    if (this.watchedBytes >= 0) collector.forget(this);
    try {
      native().free(this.handle);
    } catch (fault) {
      throw translateFault(fault, 'dispose', () => `a tensor with the made-up handle ${this.handle}`);
    }
    this.handle = -1;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** @internal The handle for a call; throws when the tensor is freed. */
  live(doing: string): number {
    if (this.handle < 0) throw new FreedTensorError(`${doing}: this tensor was freed`);
    return this.handle;
  }
}

/**
 * Tensors that no scope owns: freed by the collector if the program forgets them, and reported to V8, which
 * otherwise would think that each weighs a few dozen bytes. What a scope owns it frees by itself, so V8 need not know of it.
 */
class Collector {
  private readonly registry = new FinalizationRegistry<{ handle: number; bytes: number }>(
    ({ handle, bytes }) => {
      native().free(handle);
      this.report(-bytes);
    },
  );
  /**
   * Registering costs more than a small operator, and most tensors are disposed soon. Newcomers wait here until the
   * running turn of the event loop ends: V8 calls no finaliser before that, so nothing is freed later for it.
   */
  private newcomers: TensorHandle[] = [];
  private unreported = 0;

  welcome(tensor: TensorHandle): void {
    if (this.newcomers.length === 0) queueMicrotask(() => this.watchNewcomers());
    this.newcomers.push(tensor);
    if (this.newcomers.length >= 1024) this.watchNewcomers();
  }

  forget(tensor: TensorHandle): void {
    this.registry.unregister(tensor);
    this.report(-tensor.watchedBytes);
    tensor.watchedBytes = -1;
  }

  private watchNewcomers(): void {
    const { newcomers } = this;
    this.newcomers = [];
    for (const tensor of newcomers)
      if (tensor.handle >= 0 && tensor.owner === null && tensor.watchedBytes < 0) this.watch(tensor);
  }

  private watch(tensor: TensorHandle): void {
    const { handle } = tensor;
    tensor.watchedBytes = native().bytes(handle);
    this.registry.register(tensor, { handle, bytes: tensor.watchedBytes }, tensor);
    this.report(tensor.watchedBytes);
  }

  /** Each report may make V8 collect, so small changes are gathered first. */
  private report(bytes: number): void {
    this.unreported += bytes;
    if (Math.abs(this.unreported) < 4 * 2 ** 20) return;
    native().adjustExternalMemory(this.unreported);
    this.unreported = 0;
  }
}

const collector = new Collector();

/** @internal One running `scope` call. */
export class Scope {
  readonly tensors: TensorHandle[] = [];
  constructor(readonly parent: Scope | null) {}

  add(tensor: TensorHandle): void {
    tensor.owner = this;
    this.tensors.push(tensor);
  }

  /** Frees in one crossing every tensor still owned. */
  close(): void {
    const handles = new Int32Array(this.tensors.length);
    let count = 0;
    for (const tensor of this.tensors) {
      if (tensor.owner !== this || tensor.handle < 0) continue;
      handles[count++] = tensor.handle;
      tensor.handle = -1;
    }
    if (count > 0) native().freeMany(handles, count);
  }
}

let current: Scope | null = null;

/** @internal Gives a new tensor to the running scope, or to the collector where none runs. */
export function adopt(tensor: TensorHandle): void {
  if (current !== null) current.add(tensor);
  else collector.welcome(tensor);
}

/** Moves a tensor out of its scope to `owner` (null: nobody but `dispose` and the collector). */
function release(tensor: TensorHandle, owner: Scope | null): void {
  if (tensor.handle < 0 || tensor.owner === null) return;
  if (owner !== null) {
    owner.add(tensor);
    return;
  }
  tensor.owner = null;
  collector.welcome(tensor);
}

/** Calls `visit` with every tensor inside arrays, maps, sets and plain objects, circular ones too. */
export function eachTensor(value: unknown, visit: (tensor: TensorHandle) => void): void {
  if (value instanceof TensorHandle) visit(value);
  else if (typeof value === 'object' && value !== null) visitInside(value, visit, new Set());
}

function visitInside(value: object, visit: (tensor: TensorHandle) => void, seen: Set<object>): void {
  if (seen.has(value)) return;
  seen.add(value);
  for (const item of contentsOf(value)) {
    if (item instanceof TensorHandle) visit(item);
    else if (typeof item === 'object' && item !== null) visitInside(item, visit, seen);
  }
}

function contentsOf(value: object): Iterable<unknown> {
  if (value instanceof Map || value instanceof Set) return value.values();
  // Arrays too: `new Array(4e9)` has no values, but four thousand million elements.
  return Array.isArray(value) || isPlain(value) ? Object.values(value) : [];
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/**
 * Runs `fn` and frees every tensor created inside it, except those it returns (alone, or inside arrays, maps, sets and
 * plain objects) and those given to `keep`. Scopes nest: what leaves an inner scope belongs to the outer one.
 *
 * @throws TypeError when `fn` returns a promise: other code would run between its steps and its tensors would be freed too.
 */
export function scope<T>(fn: () => T): T {
  const mine = new Scope(current);
  current = mine;
  try {
    const result = fn();
    if (result instanceof Promise) {
      result.catch(() => {});
      throw new TypeError(
        'scope: expected a function that finishes at once, received one that returns a promise',
      );
    }
    eachTensor(result, (tensor) => {
      if (tensor.owner === mine) release(tensor, mine.parent);
    });
    return result;
  } finally {
    current = mine.parent;
    mine.close();
  }
}

/** Takes a tensor (or every tensor inside a structure) out of all scopes: it lives until `dispose` or the collector. */
export function keep<T>(value: T): T {
  eachTensor(value, (tensor) => release(tensor, null));
  return value;
}

/** Frees every tensor inside a structure. */
export function dispose(value: unknown): void {
  eachTensor(value, (tensor) => tensor.dispose());
}
