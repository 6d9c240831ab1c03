/** What all optimisers share: parameter groups, settings that may change from step to step, and a state that can be saved. */
import { noGrad } from '../autograd.js';
import { zerosLike } from '../creation.js';
import { ArgumentError } from '../errors.js';
import { keep, scope } from '../handle.js';
import { closestName } from '../nn/closest-name.js';
import { describeValue } from '../operator.js';
import { Tensor } from '../tensor.js';
import { checkSavedState, type OptimizerState, type SavedOptimizer } from './optimizer-state.js';

/** Parameters by name (as `Module.namedParameters` gives them), or without: then their positions are their names. */
export type Parameters = ReadonlyMap<string, Tensor> | Iterable<Tensor>;

/** Parameters with settings of their own; what is not named here is the optimiser's. */
export type ParameterGroup<Name extends string> = Partial<Record<Name, number>> & { parameters: Parameters };

/** A parameter and what the optimiser remembers of it. */
export interface Entry {
  readonly name: string;
  readonly parameter: Tensor;
  /** How many times it was updated. */
  step: number;
  /** One tensor of the parameter's shape per slot; empty before the first update. */
  slots: readonly Tensor[];
}

/** A parameter that takes part in a step. */
export interface Update {
  readonly entry: Entry;
  readonly parameter: Tensor;
  readonly gradient: Tensor;
  readonly slots: readonly Tensor[];
}

/** One group's settings, which may be assigned between steps, and its parameters. */
export type Group<Name extends string> = Record<Name, number> & { readonly entries: readonly Entry[] };

export interface StepOptions {
  /** Every gradient is multiplied by this first, without being changed: the inverse of a loss scale. Default 1. */
  gradientScale?: number;
}

/** @typeParam Name the names of its settings */
export abstract class Optimizer<Name extends string> {
  readonly groups: readonly Group<Name>[];
  private readonly names: readonly Name[];

  /**
   * @param kind name of the algorithm, part of the saved state
   * @param slotNames what is remembered per parameter
   * @throws ArgumentError on unknown settings, settings outside their range, and parameters that cannot be trained
   */
  protected constructor(
    private readonly kind: string,
    private readonly slotNames: readonly string[],
    parameters: Parameters | readonly ParameterGroup<Name>[],
    settings: Record<Name, number>,
  ) {
    this.names = Object.keys(settings) as Name[];
    const known = new Map<string, Tensor>();
    this.groups = isGroupList(parameters)
      ? parameters.map(({ parameters: own, ...changed }) => this.makeGroup(own, settings, changed, known))
      : [this.makeGroup(parameters, settings, {}, known)];
    if (known.size === 0) throw new ArgumentError(`${kind}: expected parameters, received none`);
  }

  /** Changes the parameters of one group; `updates` all have the same step count, which starts at 1. */
  protected abstract update(
    group: Group<Name>,
    updates: readonly Update[],
    step: number,
    gradientScale: number,
  ): void;

  /** Why a setting may not have this value, or null. */
  protected abstract settingProblem(name: Name, value: number): string | null;

  /** One update of every parameter that has a gradient. */
  step({ gradientScale = 1 }: StepOptions = {}): void {
    if (typeof gradientScale !== 'number')
      throw new ArgumentError(
        `${this.kind}: expected gradientScale to be a number, received ${describeValue(gradientScale)}`,
      );
    noGrad(() =>
      scope(() => {
        for (const group of this.groups) this.stepGroup(group, gradientScale);
      }),
    );
  }

  /** Parameters are updated together where their step counts agree; one that sometimes has no gradient falls behind. */
  private stepGroup(group: Group<Name>, gradientScale: number): void {
    const updates = group.entries.flatMap((entry) => this.updateOf(entry));
    for (const before of new Set(updates.map(({ entry }) => entry.step))) {
      const together = updates.filter(({ entry }) => entry.step === before);
      this.update(group, together, before + 1, gradientScale);
    }
    for (const { entry } of updates) entry.step += 1;
  }

  private updateOf(entry: Entry): Update[] {
    const { parameter } = entry;
    const gradient = parameter.grad;
    if (gradient === null) return [];
    if (entry.slots.length === 0) entry.slots = this.newSlots(parameter);
    return [{ entry, parameter, gradient, slots: entry.slots }];
  }

  /** Assigns settings in every group: what a schedule gave for this step. */
  set(settings: Partial<Record<Name, number>>): void {
    for (const group of this.groups) Object.assign(group, this.checkedSettings(settings));
  }

  /** Forgets the gradients. */
  zeroGrad(): void {
    for (const entry of this.entries()) entry.parameter.grad = null;
  }

  /** The tensors themselves (not copies) as `<parameter>.<slot>`, and the rest as plain JSON. */
  stateDict(): OptimizerState {
    const updated = this.entries().filter(({ step }) => step > 0);
    const tensors = new Map(updated.flatMap((entry) => this.namedSlots(entry)));
    return {
      tensors,
      state: {
        kind: this.kind,
        groups: this.groups.map((group) => this.settingsOf(group)),
        steps: Object.fromEntries(this.entries().map(({ name, step }) => [name, step])),
      },
    };
  }

  /**
   * Continues where another optimiser of the same kind, groups and parameters was saved. All is checked before anything changes.
   *
   * @throws ArgumentError naming what does not fit
   */
  loadStateDict({ tensors, state }: { tensors: ReadonlyMap<string, Tensor>; state: unknown }): void {
    const entries = this.entries();
    const saved: SavedOptimizer = checkSavedState(
      state,
      this.kind,
      this.groups.length,
      entries,
      tensors,
      this.slotNames,
    );
    const settings = saved.groups.map((group) => this.checkedSettings(group));
    const short = settings.findIndex((group) => Object.keys(group).length < this.names.length);
    if (short >= 0)
      throw new ArgumentError(
        `${this.kind}: group ${short} of the saved state lacks some of ${this.names.join(', ')}`,
      );
    for (const [i, group] of this.groups.entries()) Object.assign(group, settings[i]);
    noGrad(() => {
      for (const entry of entries) this.loadEntry(entry, saved.steps[entry.name]!, tensors);
    });
  }

  private loadEntry(entry: Entry, step: number, tensors: ReadonlyMap<string, Tensor>): void {
    entry.step = step;
    if (step === 0) {
      for (const slot of entry.slots) slot.dispose();
      entry.slots = [];
      return;
    }
    if (entry.slots.length === 0) entry.slots = this.newSlots(entry.parameter);
    for (const [name, slot] of this.namedSlots(entry)) slot.copy_(tensors.get(name)!);
  }

  private namedSlots(entry: Entry): [string, Tensor][] {
    return entry.slots.map((slot, i) => [`${entry.name}.${this.slotNames[i]}`, slot]);
  }

  /** Frees what the optimiser remembers; the parameters stay. */
  dispose(): void {
    for (const entry of this.entries()) {
      for (const slot of entry.slots) slot.dispose();
      entry.slots = [];
      entry.step = 0;
    }
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  private entries(): Entry[] {
    return this.groups.flatMap((group) => group.entries);
  }

  private newSlots(parameter: Tensor): Tensor[] {
    return this.slotNames.map(() => keep(zerosLike(parameter)));
  }

  private settingsOf(group: Group<Name>): Record<string, number> {
    return Object.fromEntries(this.names.map((name) => [name, group[name]]));
  }

  private makeGroup(
    parameters: Parameters,
    settings: Record<Name, number>,
    changed: object,
    known: Map<string, Tensor>,
  ): Group<Name> {
    const entries: Entry[] = [];
    for (const [name, parameter] of named(parameters, known.size)) {
      this.checkParameter(name, parameter, known);
      known.set(name, parameter);
      entries.push({ name, parameter, step: 0, slots: [] });
    }
    return { ...this.checkedSettings(settings), ...this.checkedSettings(changed), entries } as Group<Name>;
  }

  private checkParameter(name: string, parameter: unknown, known: ReadonlyMap<string, Tensor>): void {
    if (!(parameter instanceof Tensor))
      throw new ArgumentError(
        `${this.kind}: parameter ${name}: expected a Tensor, received ${describeValue(parameter)}`,
      );
    if (known.has(name) || [...known.values()].includes(parameter))
      throw new ArgumentError(`${this.kind}: parameter ${name} is listed twice`);
    if (!parameter.isLeaf)
      throw new ArgumentError(
        `${this.kind}: parameter ${name} was computed from other tensors; only leaves can be trained`,
      );
  }

  private checkedSettings(settings: object): Partial<Record<Name, number>> {
    const checked: Partial<Record<Name, number>> = {};
    for (const [key, value] of Object.entries(settings)) {
      if (value === undefined) continue;
      const name = this.names.find((known) => known === key);
      if (name === undefined) throw new ArgumentError(this.unknownSetting(key));
      const problem =
        typeof value !== 'number' || !Number.isFinite(value)
          ? 'a finite number'
          : this.settingProblem(name, value);
      if (problem !== null)
        throw new ArgumentError(
          `${this.kind}: expected ${name} to be ${problem}, received ${describeValue(value)}`,
        );
      checked[name] = value;
    }
    return checked;
  }

  private unknownSetting(key: string): string {
    const meant = closestName(key, this.names);
    const hint = meant === undefined ? `; it has ${this.names.join(', ')}` : ` (did you mean ${meant}?)`;
    return `${this.kind}: no setting named ${key}${hint}`;
  }
}

function isGroupList<Name extends string>(
  parameters: Parameters | readonly ParameterGroup<Name>[],
): parameters is readonly ParameterGroup<Name>[] {
  return Array.isArray(parameters) && parameters.length > 0 && !(parameters[0] instanceof Tensor);
}

function named(parameters: Parameters, first: number): [string, Tensor][] {
  if (parameters instanceof Map) return [...parameters];
  if (parameters === null || typeof parameters !== 'object' || !(Symbol.iterator in parameters))
    throw new ArgumentError(
      `expected parameters as a Map or a list of Tensors, received ${describeValue(parameters)}`,
    );
  return Array.from(parameters as Iterable<Tensor>, (parameter, i) => [String(first + i), parameter]);
}
