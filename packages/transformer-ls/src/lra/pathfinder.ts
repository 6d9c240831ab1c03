/**
 * Pathfinder: are two discs joined by one dashed path? (Linsley et al. 2018; Long Range Arena uses 32 x 32, Path-X 128 x 128.)
 *
 * A generator of its own: paths are random walks of dashes in the plane, kept apart by exact distances between dashes, with
 * the sizes that Long Range Arena documents. Lengths are in pixels, angles in radians.
 */
import type { Random } from './random.js';

export interface PathfinderShape {
  /** Pixels on a side. */
  readonly size: number;
  readonly dashLength: number;
  readonly thickness: number;
  /** Free space around a dash; one of these for each image. */
  readonly margins: readonly number[];
  readonly markerRadius: number;
  /** Dashes of each of the two long paths. */
  readonly dashes: number;
  /** How straight paths run: turns are at most a quarter turn over this. */
  readonly continuity: number;
  readonly distractors: number;
  readonly distractorDashes: number;
  /** Between the beginnings of the two long paths. */
  readonly seedDistance: number;
}

const common = { dashes: 14, distractorDashes: 4 };

/** The sizes of the "hard" sets (14 dashes) of Long Range Arena. */
export const pathfinderShapes: Readonly<Record<32 | 64 | 128 | 256, PathfinderShape>> = {
  32: {
    ...common,
    size: 32,
    dashLength: 2,
    thickness: 0.5,
    margins: [1],
    markerRadius: 1.5,
    continuity: 1,
    distractors: 5,
    seedDistance: 7,
  },
  64: {
    ...common,
    size: 64,
    dashLength: 5,
    thickness: 1,
    margins: [1],
    markerRadius: 2.5,
    continuity: 1.8,
    distractors: 5,
    seedDistance: 12,
  },
  128: {
    ...common,
    size: 128,
    dashLength: 5,
    thickness: 1.5,
    margins: [2, 3],
    markerRadius: 3,
    continuity: 1.8,
    distractors: 8,
    seedDistance: 20,
  },
  256: {
    ...common,
    size: 256,
    dashLength: 5,
    thickness: 2,
    margins: [3],
    markerRadius: 5,
    continuity: 1.8,
    distractors: 7,
    seedDistance: 27,
  },
};

export interface PathfinderImage {
  /** Grey 0 … 255, row by row. */
  readonly pixels: Uint8Array;
  /** 1: both discs on one path. */
  readonly label: number;
}

/** Draws images until the two long paths find room; the label is a fair coin's. */
export function generatePathfinder(random: Random, shape: PathfinderShape): PathfinderImage {
  for (;;) {
    const scene = new Scene(random, shape);
    const paths = scene.twoPaths();
    if (paths === undefined) continue;
    for (let i = 0; i < shape.distractors; i++) scene.distractor();
    const label = random.below(2);
    const first = random.below(2);
    const begin = paths[first]![0]!.from;
    const end = paths[label === 1 ? first : 1 - first]!.at(-1)!.to;
    return { pixels: scene.draw([begin, end]), label };
  }
}

interface Point {
  readonly x: number;
  readonly y: number;
}

interface Dash {
  readonly from: Point;
  readonly to: Point;
  readonly angle: number;
}

/** Tries of a dash before its path is given up, and of a path before it is left out. */
const DASH_TRIES = 8;
const PATH_TRIES = 8;

/** Dashes placed so far, and the rules of placing. */
class Scene {
  private readonly placed: Dash[] = [];
  private readonly margin: number;

  constructor(
    private readonly random: Random,
    private readonly shape: PathfinderShape,
  ) {
    this.margin = random.pick(shape.margins);
  }

  /** Two paths that begin near each other and near the middle, grown in turn so that they wind around each other. */
  twoPaths(): [Dash[], Dash[]] | undefined {
    const { random, shape } = this;
    const border = Math.min(2 * shape.seedDistance, shape.size / 2 - 2);
    const start = {
      x: random.between(border, shape.size - border),
      y: random.between(border, shape.size - border),
    };
    const direction = random.between(0, 2 * Math.PI);
    const paths: [Dash[], Dash[]] = [[], []];
    for (let dash = 0; dash < shape.dashes; dash++)
      for (const [which, path] of paths.entries()) {
        const begin = which === 0 ? start : moved(start, direction, shape.seedDistance);
        const next = this.place(
          () => (path.length === 0 ? this.dashAt(begin) : this.dashAfter(path.at(-1)!)),
          path,
        );
        if (next === undefined) return undefined;
        path.push(next);
      }
    return paths;
  }

  /** A short path anywhere, left out where there is no room. */
  distractor(): void {
    for (let attempt = 0; attempt < PATH_TRIES; attempt++) {
      const before = this.placed.length;
      const path: Dash[] = [];
      while (path.length < this.shape.distractorDashes) {
        const next = this.place(
          () => (path.length === 0 ? this.dashAnywhere() : this.dashAfter(path.at(-1)!)),
          path,
        );
        if (next === undefined) break;
        path.push(next);
      }
      if (path.length === this.shape.distractorDashes) return;
      this.placed.length = before;
    }
  }

  /** The first of some candidates that keeps its distance from all dashes but the one it follows. */
  private place(candidate: () => Dash, path: readonly Dash[]): Dash | undefined {
    for (let attempt = 0; attempt < DASH_TRIES; attempt++) {
      const dash = candidate();
      if (!this.isInside(dash) || !this.isFree(dash, path.at(-1))) continue;
      this.placed.push(dash);
      return dash;
    }
    return undefined;
  }

  private dashAt(from: Point): Dash {
    const angle = this.random.between(-Math.PI, Math.PI);
    return { from, to: moved(from, angle, this.shape.dashLength), angle };
  }

  private dashAnywhere(): Dash {
    const { size } = this.shape;
    return this.dashAt({ x: this.random.between(1, size - 1), y: this.random.between(1, size - 1) });
  }

  private dashAfter(last: Dash): Dash {
    const angle = last.angle + this.turn();
    const from = moved(moved(last.to, last.angle, this.margin), angle, this.margin);
    return { from, to: moved(from, angle, this.shape.dashLength), angle };
  }

  /** Density proportional to cos²(continuity * turn), by rejection. */
  private turn(): number {
    const most = Math.PI / (2 * this.shape.continuity);
    for (;;) {
      const turn = this.random.between(-most, most);
      if (this.random.unit() < Math.cos(turn * this.shape.continuity) ** 2) return turn;
    }
  }

  private isInside({ from, to }: Dash): boolean {
    const most = this.shape.size - 2;
    return [from.x, from.y, to.x, to.y].every((value) => value >= 1 && value <= most);
  }

  private isFree(dash: Dash, predecessor: Dash | undefined): boolean {
    const least = this.margin + this.shape.thickness + 0.5;
    return this.placed.every((other) => other === predecessor || distanceBetween(dash, other) >= least);
  }

  /** Dashes and discs with soft edges, the brightest at 255. */
  draw(discs: readonly Point[]): Uint8Array {
    const { size, thickness, markerRadius } = this.shape;
    const light = new Float64Array(size * size);
    const paint = (from: Point, to: Point, radius: number, strength: number) =>
      paintLine(light, size, { from, to }, radius, strength);
    // A dash thinner than a pixel lights it in part.
    for (const { from, to } of this.placed)
      paint(from, to, Math.max(thickness, 1) / 2, Math.min(1, thickness * 1.5));
    for (const disc of discs) paint(disc, disc, markerRadius, 1);
    const brightest = light.reduce((most, value) => Math.max(most, value), 1e-9);
    return Uint8Array.from(light, (value) => Math.round((255 * value) / brightest));
  }
}

interface Line {
  readonly from: Point;
  readonly to: Point;
}

/** Lights every pixel by how much of it lies within `radius` of the line. */
function paintLine(light: Float64Array, size: number, line: Line, radius: number, strength: number): void {
  const reach = radius + 1;
  const [left, right] = [Math.min(line.from.x, line.to.x) - reach, Math.max(line.from.x, line.to.x) + reach];
  const [top, bottom] = [Math.min(line.from.y, line.to.y) - reach, Math.max(line.from.y, line.to.y) + reach];
  for (let y = Math.max(0, Math.floor(top)); y <= Math.min(size - 1, Math.ceil(bottom)); y++)
    for (let x = Math.max(0, Math.floor(left)); x <= Math.min(size - 1, Math.ceil(right)); x++) {
      const covered = Math.min(1, Math.max(0, radius + 0.5 - distanceToLine({ x, y }, line)));
      const place = y * size + x;
      light[place] = Math.max(light[place]!, strength * covered);
    }
}

function moved({ x, y }: Point, angle: number, distance: number): Point {
  return { x: x + distance * Math.cos(angle), y: y + distance * Math.sin(angle) };
}

function distanceToLine(point: Point, { from, to }: Line): number {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const length = dx * dx + dy * dy;
  const along = length === 0 ? 0 : ((point.x - from.x) * dx + (point.y - from.y) * dy) / length;
  const nearest = Math.min(1, Math.max(0, along));
  return Math.hypot(point.x - from.x - nearest * dx, point.y - from.y - nearest * dy);
}

/** Between two line segments; 0 where they cross. */
function distanceBetween(a: Line, b: Line): number {
  if (crosses(a, b)) return 0;
  return Math.min(
    distanceToLine(a.from, b),
    distanceToLine(a.to, b),
    distanceToLine(b.from, a),
    distanceToLine(b.to, a),
  );
}

function crosses(a: Line, b: Line): boolean {
  return side(a, b.from) !== side(a, b.to) && side(b, a.from) !== side(b, a.to);
}

/** On which side of a line a point lies. */
function side({ from, to }: Line, { x, y }: Point): boolean {
  return (to.x - from.x) * (y - from.y) > (to.y - from.y) * (x - from.x);
}
