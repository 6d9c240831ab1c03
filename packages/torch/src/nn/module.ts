/**
 * `Module`: named parameters, buffers and child modules, under the names and in the order that PyTorch would give them.
 *
 * A constructor registers each thing and keeps it in a field of the same name:
 * `this.weight = this.parameter('weight', empty([3, 2]))`.
 */
import { noGrad } from '../autograd.js';
import { isFloatingPoint } from '../dtype.js';
import { ArgumentError } from '../errors.js';
import { keep } from '../handle.js';
import { describeValue, operator } from '../operator.js';
import { Tensor, type TensorOptions } from '../tensor.js';
import { copyState, type LoadOptions, type LoadReport } from './state-dict.js';

const setData = operator('aten::set_data');

export interface BufferOptions {
  /** Whether the buffer is part of the state dict. Default true. */
  persistent?: boolean;
}

/** The base of every layer and model. */
export abstract class Module {
  /** Whether dropout and the like are on; set by `train` and `eval`. */
  training = true;

  private readonly ownParameters = new Map<string, Tensor>();
  private readonly ownBuffers = new Map<string, Tensor>();
  private readonly transientBuffers = new Set<string>();
  private readonly children = new Map<string, Module>();

  // ---- registering ---------------------------------------------------------------------------------------------

  /** Registers a trained tensor: it requires grad and belongs to no scope. Two names may share one tensor (tied weights). */
  protected parameter(name: string, value: Tensor): Tensor {
    this.checkNewName(name);
    if (!(value instanceof Tensor))
      throw new ArgumentError(`parameter ${name}: expected a Tensor, received ${describeValue(value)}`);
    if (!isFloatingPoint(value.dtype))
      throw new ArgumentError(`parameter ${name}: expected floating point, received ${describeValue(value)}`);
    if (!value.isLeaf)
      throw new ArgumentError(
        `parameter ${name}: expected a tensor that was not computed from others with grad`,
      );
    value.requiresGrad = true;
    this.ownParameters.set(name, keep(value));
    return value;
  }

  /** Registers a tensor that is part of the module but not trained; it belongs to no scope. */
  protected buffer(name: string, value: Tensor, { persistent = true }: BufferOptions = {}): Tensor {
    this.checkNewName(name);
    if (!(value instanceof Tensor))
      throw new ArgumentError(`buffer ${name}: expected a Tensor, received ${describeValue(value)}`);
    this.ownBuffers.set(name, keep(value));
    if (!persistent) this.transientBuffers.add(name);
    return value;
  }

  /** Registers a module inside this one. */
  protected child<M extends Module>(name: string, module: M): M {
    this.checkNewName(name);
    if (!(module instanceof Module))
      throw new ArgumentError(`child ${name}: expected a Module, received ${describeValue(module)}`);
    if ([...module.walk()].some(([, inner]) => inner === this))
      throw new ArgumentError(`child ${name}: a module cannot be inside itself`);
    this.children.set(name, module);
    return module;
  }

  private checkNewName(name: string): void {
    if (typeof name !== 'string' || name === '' || name.includes('.'))
      throw new ArgumentError(`expected a name without dots, received ${describeValue(name)}`);
    if (this.ownParameters.has(name) || this.ownBuffers.has(name) || this.children.has(name))
      throw new ArgumentError(`${this.constructor.name} has something named ${name} already`);
  }

  // ---- names ---------------------------------------------------------------------------------------------------

  /** This module and all inside it, depth first, each under its dotted path; shared modules under every path. */
  private *walk(path = ''): Generator<[string, Module]> {
    yield [path, this];
    for (const [name, module] of this.children) yield* module.walk(joined(path, name));
  }

  /** Every module once, this one (under the empty name) first. */
  namedModules(): Map<string, Module> {
    return withoutRepeats(this.walk());
  }

  /** Every parameter once, under its first name: a module's own in order of registration, then its children's. */
  namedParameters(): Map<string, Tensor> {
    return withoutRepeats(this.tensors((module) => module.ownParameters));
  }

  parameters(): Tensor[] {
    return [...this.namedParameters().values()];
  }

  /** Every buffer once, the ones that are not persistent included. */
  namedBuffers(): Map<string, Tensor> {
    return withoutRepeats(this.tensors((module) => module.ownBuffers));
  }

  private *tensors(pick: (module: Module) => Iterable<[string, Tensor]>): Generator<[string, Tensor]> {
    for (const [path, module] of this.walk())
      for (const [name, value] of pick(module)) yield [joined(path, name), value];
  }

  /** Number of trained numbers; tied tensors count once. */
  countParameters(): number {
    return this.parameters().reduce((total, parameter) => total + parameter.numel, 0);
  }

  // ---- state ---------------------------------------------------------------------------------------------------

  /** Parameters and persistent buffers themselves (not copies) under all their names; tied ones appear under each. */
  stateDict(): Map<string, Tensor> {
    return new Map(
      this.tensors((module) => [
        ...module.ownParameters,
        ...[...module.ownBuffers].filter(([name]) => !module.transientBuffers.has(name)),
      ]),
    );
  }

  /**
   * Copies values into this module's tensors, converting dtype and device. Everything is checked before anything is copied.
   *
   * @param options strict (default true) refuses missing and unexpected names; wrong shapes are always refused
   * @throws ArgumentError that lists all missing, unexpected and wrongly shaped names together
   */
  loadStateDict(state: ReadonlyMap<string, Tensor>, options: LoadOptions = {}): LoadReport {
    return copyState(state, this.stateDict(), options);
  }

  // ---- changing all at once ------------------------------------------------------------------------------------

  /** Switches this module and all inside it to training. */
  train(training = true): this {
    for (const [, module] of this.walk()) module.training = training;
    return this;
  }

  /** Switches this module and all inside it to evaluation. */
  eval(): this {
    return this.train(false);
  }

  /** Moves and converts every tensor in place; integer buffers keep their dtype. Gradients are dropped. */
  to({ dtype, device }: Pick<TensorOptions, 'dtype' | 'device'>): this {
    noGrad(() => {
      for (const value of [...this.parameters(), ...this.namedBuffers().values()]) {
        const target = dtype !== undefined && isFloatingPoint(value.dtype) ? dtype : value.dtype;
        convertInPlace(value, target, device ?? value.device);
      }
    });
    return this;
  }

  /** Forgets the gradients of all parameters. */
  zeroGrad(): void {
    for (const parameter of this.parameters()) parameter.grad = null;
  }

  /** Frees every parameter and buffer. The module cannot be used afterwards. */
  dispose(): void {
    for (const value of [...this.parameters(), ...this.namedBuffers().values()]) value.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** The Tensor object stays the same (fields and optimisers hold it); only what it points to changes. */
function convertInPlace(value: Tensor, dtype: Tensor['dtype'], device: string): void {
  value.grad = null;
  const converted = value.to({ dtype, device });
  if (converted === value) return;
  setData(value, converted);
  converted.dispose();
}

function joined(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}

function withoutRepeats<T>(entries: Iterable<[string, T]>): Map<string, T> {
  const seen = new Set<T>();
  const found = new Map<string, T>();
  for (const [name, value] of entries) {
    if (!seen.has(value)) found.set(name, value);
    seen.add(value);
  }
  return found;
}
