/** Examples that are drawn: each by its seed, part and number alone, so that any of them can be drawn anywhere. */

import { Random } from '../data/random.js';
import { type Split, splits } from './example-set.js';
import { generateListOps } from './listops.js';
import { generatePathfinder } from './pathfinder.js';
import { pathfinderShapes } from './pathfinder-shapes.js';

export interface GeneratedExample {
  /** One byte a token. */
  readonly tokens: Uint8Array;
  readonly label: number;
}

export type Generator = (seed: number, split: Split, index: number) => GeneratedExample;

const pathfinder =
  (side: keyof typeof pathfinderShapes): Generator =>
  (seed, split, index) => {
    const random = new Random(seed, side, splits.indexOf(split), index);
    const { pixels, label } = generatePathfinder(random, pathfinderShapes[side]);
    return { tokens: pixels, label };
  };

export const generators = {
  listops: (seed, split, index) => generateListOps(new Random(seed, splits.indexOf(split), index)),
  pathfinder32: pathfinder(32),
  pathfinder64: pathfinder(64),
  pathfinder128: pathfinder(128),
  pathfinder256: pathfinder(256),
} satisfies Record<string, Generator>;

export type GeneratorName = keyof typeof generators;

/** Some examples in a row. */
export interface Block {
  readonly name: GeneratorName;
  readonly seed: number;
  readonly split: Split;
  /** Number of the first. */
  readonly first: number;
  readonly count: number;
}

export function drawBlock({ name, seed, split, first, count }: Block): GeneratedExample[] {
  const generator: Generator = generators[name];
  return Array.from({ length: count }, (_, i) => generator(seed, split, first + i));
}
