/**
 * Pathfinder: are two discs joined by one dashed path? (Linsley et al. 2018; Long Range Arena uses 32 x 32, Path-X 128 x 128.)
 *
 * A generator of its own with the published sizes and rules: a path goes on from a point a step ahead of its last dash, to one of
 * the free pixels around that point, straight on more often than not. Lengths are in pixels, angles in radians, y runs down.
 */

import type { Random } from '../data/random.js';
import type { PathfinderShape } from './pathfinder-shapes.js';
import {
  type Course,
  type Dash,
  OVERLAP,
  type Spots,
  type Start,
  type Tables,
  tablesOf,
} from './pathfinder-tables.js';

export interface PathfinderImage {
  /** Grey 0 … 255, row by row. */
  readonly pixels: Uint8Array;
  /** 1: both discs on one path. */
  readonly label: number;
}

/** Draws images until the two long paths find room; the label is a fair coin's. */
export function generatePathfinder(random: Random, shape: PathfinderShape): PathfinderImage {
  const scene = new Scene(random, shape, knownTables(shape, random.pick(shape.margins)));
  const paths = scene.twoPaths();
  for (let i = 0; i < shape.distractors; i++) scene.distractor();
  const label = random.below(2);
  const first = random.below(2);
  const begin = paths[first]!.begin;
  const end = paths[label === 1 ? first : 1 - first]!.end;
  return { pixels: scene.picture([begin, end]), label };
}

const made = new Map<PathfinderShape, Map<number, Tables>>();

function knownTables(shape: PathfinderShape, margin: number): Tables {
  const ofShape = made.get(shape) ?? new Map<number, Tables>();
  made.set(shape, ofShape);
  const tables = ofShape.get(margin) ?? tablesOf(shape, margin);
  ofShape.set(margin, tables);
  return tables;
}

/** A path while it grows; pixels are numbers in the grid of the tables. */
interface Path {
  readonly begin: number;
  /** The far end of the last dash. */
  end: number;
  /** The point before the last dash. */
  pivot: number;
  course: Course;
  /** The last dash takes room only when the next one is there: that one is near it. */
  last: Placed;
  /** Dashes before the last. */
  readonly earlier: Placed[];
}

interface Placed {
  readonly dash: Dash;
  readonly at: number;
}

/** Tries of a dash, and of a distractor, before it is given up. */
const DASH_TRIES = 3;
const DISTRACTOR_TRIES = 5;
/** Tries of a place for a path to begin. */
const PLACE_TRIES = 200;
/** A path begins where less than this is taken. */
const FREE = 0.3;

/** The dashes so far, and the room that they take. */
class Scene {
  readonly #room: Float32Array;
  readonly #targets: Path[] = [];
  readonly #distractors: Path[] = [];
  readonly #shares: Float32Array;

  constructor(
    private readonly random: Random,
    private readonly shape: PathfinderShape,
    private readonly tables: Tables,
  ) {
    this.#room = tables.taken.slice();
    this.#shares = new Float32Array(tables.ends.length);
  }

  /** Two paths that begin near each other and near the middle, grown in turn so that they wind around each other. */
  twoPaths(): readonly [Path, Path] {
    for (;;) {
      const first = this.#beginInTheMiddle();
      const second = first && this.#beginNear(first.begin);
      if (first !== undefined && second !== undefined && this.#grow([first, second], this.shape.dashes)) {
        this.#take(second.last);
        this.#targets.push(first, second);
        return [first, second];
      }
      for (const path of [first, second]) if (path !== undefined) this.#free(path);
    }
  }

  /** A short path anywhere, left out where there is no room. */
  distractor(): void {
    const before = this.#room.slice();
    for (let attempt = 0; attempt < DISTRACTOR_TRIES; attempt++) {
      const path = this.#beginAnywhere();
      if (path === undefined) continue;
      if (this.#grow([path], this.shape.distractorDashes)) {
        this.#take(path.last);
        this.#distractors.push(path);
        return;
      }
      this.#room.set(before);
    }
  }

  /** All that was placed, and the discs; the brightest pixel is 255. */
  picture(discs: readonly number[]): Uint8Array {
    const { size, stride, outside } = this.tables;
    const light = new Float32Array(this.#room.length);
    const { contrast, distractorContrast } = this.shape;
    for (const path of this.#targets) paintPath(light, path, contrast);
    for (const path of this.#distractors) paintPath(light, path, distractorContrast);
    for (const disc of discs) paint(light, this.tables.disc, disc, 1);
    const pixels = new Float32Array(size * size);
    for (let y = 0; y < size; y++) {
      const start = (y + outside) * stride + outside;
      pixels.set(light.subarray(start, start + size), y * size);
    }
    const brightest = pixels.reduce((most, value) => Math.max(most, value), 1e-9);
    return Uint8Array.from(pixels, (value) => Math.floor((255 * value) / brightest + 0.5));
  }

  /** In turn to this many dashes each; false where one cannot go on. */
  #grow(paths: readonly Path[], dashes: number): boolean {
    for (let dash = 1; dash < dashes; dash++) for (const path of paths) if (!this.#extend(path)) return false;
    return true;
  }

  /** Away from the edges by twice the distance of the beginnings. */
  #beginInTheMiddle(): Path | undefined {
    const { starts, placeable, size } = this.tables;
    const border = Math.min(2 * this.shape.seedDistance, size / 2 - 2);
    const start = starts[this.random.pick(placeable)]!;
    for (let attempt = 0; attempt < PLACE_TRIES; attempt++) {
      const at = this.#anyPixel(border);
      if (start.wanted!.every((step) => this.#isInside(at + step, border))) return this.#begin(at, start);
    }
    return undefined;
  }

  #beginNear(other: number): Path | undefined {
    const { starts, stride } = this.tables;
    for (let attempt = 0; attempt < DASH_TRIES; attempt++) {
      const start = this.random.pick(starts);
      const direction = this.random.below(360) * (Math.PI / 180);
      const { seedDistance } = this.shape;
      const right = Math.round(seedDistance * Math.cos(direction));
      const path = this.#begin(
        other + right + stride * Math.round(seedDistance * Math.sin(direction)),
        start,
      );
      if (path !== undefined) return path;
    }
    return undefined;
  }

  #beginAnywhere(): Path | undefined {
    const start = this.random.pick(this.tables.starts);
    const { wanted } = start;
    if (wanted === null) return undefined;
    for (let attempt = 0; attempt < PLACE_TRIES; attempt++) {
      const at = this.#anyPixel(0);
      if (wanted.every((step) => this.#room[at + step]! < FREE)) return this.#begin(at, start);
    }
    return undefined;
  }

  /** A path of one dash, or nothing where it would leave the picture. */
  #begin(begin: number, start: Start): Path | undefined {
    const [end, pivot] = [begin + start.end, begin + start.pivot];
    if (![begin, end, pivot].every((pixel) => this.#isInside(pixel, 0))) return undefined;
    return { begin, end, pivot, course: start.course, last: { dash: start.dash, at: begin }, earlier: [] };
  }

  /** Adds a dash; false where no free pixel lies ahead, or what was tried overlaps other dashes. */
  #extend(path: Path): boolean {
    const pivot = path.pivot + path.course.advance;
    const total = this.#weigh(pivot, path.course.shares);
    if (total < 1e-4) return false;
    for (let attempt = 0; attempt < DASH_TRIES; attempt++) {
      const { step, dash, course } = this.tables.ends[this.#drawn(total)]!;
      const end = pivot + step;
      if (this.#overlaps(dash.core, end)) continue;
      this.#take(path.last);
      path.earlier.push(path.last);
      path.last = { dash, at: end };
      path.end = end;
      path.pivot = pivot;
      path.course = course;
      return true;
    }
    return false;
  }

  /** How often each end is next: its share by the turn, less what is taken near it. Returns the sum. */
  #weigh(pivot: number, shares: Float32Array): number {
    const { ends, nearby } = this.tables;
    let total = 0;
    for (let i = 0; i < ends.length; i++) {
      const share = shares[i]!;
      let taken = share > 0 ? 0 : 1;
      if (share > 0) {
        const at = pivot + ends[i]!.step;
        for (let k = 0; k < nearby.length && taken < 1; k++)
          taken = Math.max(taken, this.#room[at + nearby[k]!]!);
      }
      this.#shares[i] = share * (1 - taken);
      total += this.#shares[i]!;
    }
    return total;
  }

  /** The number of an end, drawn by the weights. */
  #drawn(total: number): number {
    let left = this.random.unit() * total;
    let last = 0;
    for (let i = 0; i < this.#shares.length; i++) {
      if (this.#shares[i] === 0) continue;
      last = i;
      left -= this.#shares[i]!;
      if (left < 0) break;
    }
    return last;
  }

  #overlaps({ steps, values }: Spots, at: number): boolean {
    for (let k = 0; k < steps.length; k++)
      if (this.#room[at + steps[k]!]! + values[k]! >= OVERLAP) return true;
    return false;
  }

  #take({ dash, at }: Placed): void {
    paint(this.#room, dash.room, at, 1);
  }

  /** Where nothing but these paths was placed: the room that one took is free again. Cheaper than a new grid: most tries fail. */
  #free({ earlier }: Path): void {
    for (const { dash, at } of earlier)
      for (const step of dash.room.steps) this.#room[at + step] = this.tables.taken[at + step]!;
  }

  /** Of the picture, at least `border` from its edges. */
  #anyPixel(border: number): number {
    const { size, outside, stride } = this.tables;
    const range = size - 2 * border;
    const [x, y] = [this.random.below(range), this.random.below(range)];
    return (outside + border + y) * stride + outside + border + x;
  }

  #isInside(pixel: number, border: number): boolean {
    const { size, outside, stride } = this.tables;
    const [x, y] = [(pixel % stride) - outside, Math.floor(pixel / stride) - outside];
    return Math.min(x, y) >= border && Math.max(x, y) < size - border;
  }
}

function paintPath(light: Float32Array, path: Path, contrast: number): void {
  for (const { dash, at } of [...path.earlier, path.last]) paint(light, dash.light, at, contrast);
}

/** Each pixel becomes the brighter of what it was and what it is here. */
function paint(grid: Float32Array, { steps, values }: Spots, at: number, contrast: number): void {
  for (let k = 0; k < steps.length; k++) {
    const value = values[k]! * contrast;
    const place = at + steps[k]!;
    if (value > grid[place]!) grid[place] = value;
  }
}
