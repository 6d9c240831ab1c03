/**
 * Tables for drawing Pathfinder fast: everything about dashes that does not depend on what is drawn already.
 *
 * Pixels are numbers in a grid that is wider than the picture on every side, so that steps and stamps are additions and nothing
 * near the edge needs a check. Lengths are in pixels, angles in radians, y runs down.
 */
import type { PathfinderShape } from './pathfinder-shapes.js';
import { DashStamper, type DashStamps, discStamp, pixelAt, type Stamp } from './pathfinder-stamps.js';

/** Some pixels around one, with a value each. */
export interface Spots {
  /** Steps in the grid. */
  readonly steps: Int32Array;
  readonly values: Float32Array;
}

/** A dash in one direction, seen from the pixel that it is drawn from. */
export interface Dash {
  /** How bright it is, 0 … 1. */
  readonly light: Spots;
  /** How much of each pixel the dash and its margin take, 0 … 1. */
  readonly room: Spots;
  /** The part of it that can overlap others: what it takes nearly whole. */
  readonly core: Spots;
}

/** How a path goes on from a dash. */
export interface Course {
  /** From the point before the last dash to the point before the next one. */
  readonly advance: number;
  /** How often each end is next where all is free; see `ends`. */
  readonly shares: Float32Array;
}

/** A pixel that a dash may end at, seen from the point before the dash. */
export interface End {
  readonly step: number;
  /** Drawn from its end backwards. */
  readonly dash: Dash;
  readonly course: Course;
}

/** The first dash of a path in one direction, seen from its beginning. */
export interface Start {
  readonly end: number;
  /** The point before the dash. */
  readonly pivot: number;
  readonly dash: Dash;
  readonly course: Course;
  /** The pixels that must be free; null: no search for a free place finds one for this direction. */
  readonly wanted: Int32Array | null;
}

export interface Tables {
  readonly margin: number;
  readonly size: number;
  /** Pixels of the grid on each side of the picture, and in a row of the grid. */
  readonly outside: number;
  readonly stride: number;
  /** Room that is taken before anything is drawn: the padding and everything outside. */
  readonly taken: Float32Array;
  readonly ends: readonly End[];
  /** By whole degrees. */
  readonly starts: readonly Start[];
  /** Numbers of the starts that a place can be found for. */
  readonly placeable: readonly number[];
  /** The pixels within the margin of a pixel. */
  readonly nearby: Int32Array;
  readonly disc: Spots;
}

/** Two dashes overlap where what they take adds up to this. */
export const OVERLAP = 1.8;

/** Tables of a shape and margin. */
export function tablesOf(shape: PathfinderShape, margin: number): Tables {
  const { size, dashLength, continuity } = shape;
  const disc = discStamp(shape.markerRadius);
  const outside = 2 * (dashLength + 2 * margin) + disc.reach + 2;
  const stride = size + 2 * outside;
  const step = (x: number, y: number) => y * stride + x;
  const stepAlong = (angle: number, distance: number) => {
    const { x, y } = pixelAt(angle, distance);
    return step(x, y);
  };

  const stamper = new DashStamper(shape, margin);
  const dashes = new Map<DashStamps, Dash>();
  const dashAt = (angle: number): Dash => {
    const stamps = stamper.at(angle);
    const { light, room } = stamps;
    const dash = dashes.get(stamps) ?? {
      light: spotsOf(light, step, 0),
      room: spotsOf(room, step, 0),
      core: spotsOf(room, step, OVERLAP - 1),
    };
    dashes.set(stamps, dash);
    return dash;
  };
  const points = pixelsOfCircle(dashLength + margin);
  const courseOf = (angle: number): Course => ({
    advance: stepAlong(angle, dashLength + 2 * margin),
    shares: Float32Array.from(points, ({ x, y }) => shareOf(Math.atan2(y, x) - angle, continuity)),
  });
  const ends = points.map(({ x, y }): End => {
    const angle = Math.atan2(y, x);
    return { step: step(x, y), dash: dashAt(angle + Math.PI), course: courseOf(angle) };
  });
  const starts = Array.from({ length: 360 }, (_, degrees): Start => {
    const angle = ((degrees - 180) * Math.PI) / 180;
    const end = stepAlong(angle, dashLength);
    return {
      end,
      pivot: end + stepAlong(angle + Math.PI, dashLength + margin),
      dash: dashAt(angle),
      course: courseOf(angle),
      wanted: wantedPixels(stamper.at(angle).room, step),
    };
  });
  return {
    margin,
    size,
    outside,
    stride,
    taken: takenAtFirst(shape, outside, stride),
    ends,
    starts,
    placeable: starts.flatMap(({ wanted }, i) => (wanted === null ? [] : [i])),
    nearby: Int32Array.from(pixelsOfDisc(margin), ({ x, y }) => step(x, y)),
    disc: spotsOf(disc, step, 0),
  };
}

interface Point {
  readonly x: number;
  readonly y: number;
}

/** cos² of continuity * turn, nothing beyond a quarter turn of that. */
function shareOf(turn: number, continuity: number): number {
  const around = Math.abs(turn) % (2 * Math.PI);
  const bend = Math.min(around, 2 * Math.PI - around) * continuity;
  return bend < Math.PI / 2 ? Math.cos(bend) ** 2 : 0;
}

/**
 * What a search for a free place looks at: the pixels that the dash takes whole, as seen from a pixel further down and right, and
 * mirrored there. As in the original, it finds a place only for directions whose pixels lie on both sides of the beginning both
 * ways (others leave it without an answer at the picture's edges): with small margins these are few, and point up and left.
 */
function wantedPixels({ reach, values }: Stamp, step: (x: number, y: number) => number): Int32Array | null {
  const whole = squareOf(reach).flatMap(({ x, y }, i) => (values[i]! >= 1 ? [{ x: -1 - x, y: -1 - y }] : []));
  const surrounds = [1, -1].every((right) =>
    [1, -1].every((down) => whole.some(({ x, y }) => x * right >= 0 && y * down >= 0)),
  );
  return surrounds ? Int32Array.from(whole, ({ x, y }) => step(x, y)) : null;
}

function takenAtFirst({ size, padding }: PathfinderShape, outside: number, stride: number): Float32Array {
  const [first, last] = [outside + padding, outside + size - 1 - padding];
  return Float32Array.from({ length: stride * stride }, (_, i) => {
    const [x, y] = [i % stride, Math.floor(i / stride)];
    return Math.min(x, y) >= first && Math.max(x, y) <= last ? 0 : 1;
  });
}

/** The pixels of a stamp whose value is above `least`. */
function spotsOf({ reach, values }: Stamp, step: (x: number, y: number) => number, least: number): Spots {
  const chosen = squareOf(reach)
    .map(({ x, y }, i) => [step(x, y), values[i]!] as const)
    .filter(([, value]) => value > least);
  return {
    steps: Int32Array.from(chosen, ([at]) => at),
    values: Float32Array.from(chosen, ([, value]) => value),
  };
}

/** The pixels that a circle around a pixel passes through, each once. */
function pixelsOfCircle(radius: number): Point[] {
  const points = Array.from({ length: Math.ceil(2 * Math.PI * radius) }, (_, i): Point => {
    const angle = i / radius;
    return { x: Math.floor(radius * Math.cos(angle)), y: Math.floor(radius * Math.sin(angle)) };
  });
  return [...new Map(points.map((point) => [`${point.x} ${point.y}`, point])).values()];
}

function pixelsOfDisc(radius: number): Point[] {
  return squareOf(radius).filter(({ x, y }) => x * x + y * y <= radius * radius);
}

/** Row by row, as stamps are. */
function squareOf(reach: number): Point[] {
  const steps = Array.from({ length: 2 * reach + 1 }, (_, i) => i - reach);
  return steps.flatMap((y) => steps.map((x) => ({ x, y })));
}
