/**
 * What one token of an image takes, as multiples of an even share, for one head or for the mean of all.
 *
 * Shape letters: T tokens of the grid, row by row, R slots, C global tokens.
 */
import { areaSize, type GridBlockWeights, type GridHeadWeights } from '../models/vision/grid-weights.js';

/** Where a token takes from, in parts of 1. */
export interface TakenParts {
  /** Each token that it sees directly. */
  readonly tokens: number;
  /** Each slot, the largest first. */
  readonly slots: readonly number[];
  readonly globals: number;
}

export interface SlotMap {
  /** From 0. */
  readonly number: number;
  /** What the token takes from it, in parts of 1. */
  readonly taken: number;
  /** T: what it is made of, in even shares. */
  readonly times: Float32Array;
}

/** Maps have T numbers each, in even shares. */
export interface HeadMaps {
  /** From 0; null: the mean of all. */
  readonly head: number | null;
  readonly name: string;
  readonly parts: TakenParts;
  /** What the token takes directly, of all that it sees; null: it sees no tokens. */
  readonly direct: Float32Array | null;
  /** That from which it takes most first; of a single head only, since a slot is of one head. */
  readonly slots: readonly SlotMap[];
  /** Of what the token takes from slots: where that comes from, slots followed to what they are made of; null without slots. */
  readonly throughSlots: Float32Array | null;
  readonly ofGlobals: readonly GlobalMap[];
}

/** What one global token takes. */
export interface GlobalMap {
  readonly times: Float32Array;
  /** From itself and other global tokens, in parts of 1. */
  readonly fromGlobals: number;
}

/** The heads asked for, after the mean of all where all are asked for. */
export function headMaps(weights: GridBlockWeights, heads: readonly number[]): HeadMaps[] {
  const drawn = heads.map((number) => mapsOf(weights, weights.heads[number]!, number));
  const isAll = heads.length === weights.heads.length && heads.length > 1;
  return isAll ? [meanMaps(drawn, weights), ...drawn] : drawn;
}

/** What the token would take if it preferred nothing. */
export function evenParts({ keys, heads: [head] }: GridBlockWeights): TakenParts {
  const { slots, globals } = head!;
  const total = keys + slots.length + globals.length;
  return {
    tokens: keys / total,
    slots: Array.from(slots, () => 1 / total),
    globals: globals.length / total,
  };
}

function mapsOf({ seen, keys }: GridBlockWeights, head: GridHeadWeights, number: number): HeadMaps {
  const { tokens, slots, globals, projection, ofGlobals } = head;
  // Where a key stands for several tokens, each of them has a part of its weight.
  const entries = (keys + slots.length + globals.length) * (seen === null ? 1 : areaSize(seen) / keys);
  const byUse = [...slots.keys()].sort((a, b) => slots[b]! - slots[a]!);
  return {
    head: number,
    name: `Head ${number + 1}`,
    parts: { tokens: sum(tokens ?? []), slots: byUse.map((slot) => slots[slot]!), globals: sum(globals) },
    direct: tokens === null ? null : times(tokens, entries),
    slots: byUse.map((slot) => ({
      number: slot,
      taken: slots[slot]!,
      times: times(projection[slot]!, projection[slot]!.length),
    })),
    throughSlots: slots.length === 0 ? null : throughSlots([head]),
    ofGlobals: ofGlobals.map((one) => ({
      times: times(one.tokens, one.tokens.length + one.globals.length),
      fromGlobals: sum(one.globals),
    })),
  };
}

/** What slots of the heads are made of, each as much as is taken from it. */
function throughSlots(heads: readonly GridHeadWeights[]): Float32Array {
  const T = heads[0]!.projection[0]!.length;
  const map = new Float32Array(T);
  const total = sum(heads.map(({ slots }) => sum(slots)));
  for (const { slots, projection } of heads)
    projection.forEach((made, slot) => {
      const share = slots[slot]! / total;
      for (let token = 0; token < T; token++) map[token]! += share * made[token]!;
    });
  return times(map, T);
}

function meanMaps(heads: readonly HeadMaps[], weights: GridBlockWeights): HeadMaps {
  const [first] = heads as readonly [HeadMaps];
  return {
    head: null,
    name: `Mean of ${heads.length} heads`,
    parts: {
      tokens: mean(heads.map(({ parts }) => parts.tokens)),
      // Of each head its largest, and so on: slots of different heads have nothing else in common.
      slots: first.parts.slots.map((_, place) => mean(heads.map(({ parts }) => parts.slots[place]!))),
      globals: mean(heads.map(({ parts }) => parts.globals)),
    },
    direct: meanMap(heads.map(({ direct }) => direct)),
    slots: [],
    throughSlots: first.throughSlots === null ? null : throughSlots(weights.heads),
    ofGlobals: first.ofGlobals.map((_, one) => ({
      times: meanMap(heads.map(({ ofGlobals }) => ofGlobals[one]!.times))!,
      fromGlobals: mean(heads.map(({ ofGlobals }) => ofGlobals[one]!.fromGlobals)),
    })),
  };
}

function meanMap(maps: readonly (Float32Array | null)[]): Float32Array | null {
  const all = maps.filter((map) => map !== null);
  if (all.length === 0) return null;
  return all[0]!.map((_, token) => mean(all.map((map) => map[token]!)));
}

function times(weights: Float32Array, entries: number): Float32Array {
  return weights.map((weight) => weight * entries);
}

function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
