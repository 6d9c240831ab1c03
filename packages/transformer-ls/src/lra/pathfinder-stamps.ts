/**
 * What Pathfinder draws, as stamps: small squares of brightness around a pixel. Drawn at twice the size and reduced, they have soft
 * edges. A dash's stamp depends on its direction alone, so each is made once.
 */
import { reduced } from './resample.js';

/** Pixels are drawn at this many times their number a side. */
const FINE = 2;

/** A square of (2 * reach + 1)² values 0 … 1 around a pixel. */
export interface Stamp {
  readonly reach: number;
  readonly values: Float32Array;
}

export interface DashStamps {
  /** How bright it is. */
  readonly light: Stamp;
  /** The room that it takes: the dash and a margin around it. */
  readonly room: Stamp;
}

/** Lengths in pixels. */
export interface DashShape {
  readonly dashLength: number;
  readonly thickness: number;
}

/** Stamps of dashes with a margin, by direction. */
export class DashStamper {
  readonly #made = new Map<number, DashStamps>();
  readonly #reach: number;

  constructor(
    private readonly shape: DashShape,
    private readonly margin: number,
  ) {
    this.#reach = shape.dashLength + Math.ceil(shape.thickness) + margin;
  }

  /** Of a dash that begins at the stamp's middle and runs at this angle. */
  at(angle: number): DashStamps {
    const length = FINE * this.shape.dashLength;
    const { x, y } = pixelAt(angle, length);
    const key = (x + length) * (2 * length + 2) + y + length;
    const known = this.#made.get(key);
    if (known !== undefined) return known;
    const made = this.#make(x, y);
    this.#made.set(key, made);
    return made;
  }

  #make(x: number, y: number): DashStamps {
    const side = 2 * FINE * this.#reach + 1;
    const middle = FINE * this.#reach;
    const line = linePixels(x, y, FINE * this.shape.thickness).map(
      ([dx, dy]) => [middle + dx, middle + dy] as const,
    );
    const light = new Uint8Array(side * side);
    const room = new Uint8Array(side * side);
    const around = discPixels(FINE * this.margin);
    for (const [px, py] of line) {
      light[py * side + px] = 255;
      for (const [dx, dy] of around) room[(py + dy) * side + px + dx] = 255;
    }
    return { light: this.#stamp(light, side), room: this.#stamp(room, side) };
  }

  #stamp(fine: Uint8Array, side: number): Stamp {
    const reach = this.#reach;
    return { reach, values: Float32Array.from(reduced(fine, side, 2 * reach + 1), (value) => value / 255) };
  }
}

/** The pixel at a distance in a direction; what lies between pixels goes right and down, but for errors of rounding. */
export function pixelAt(angle: number, distance: number): { x: number; y: number } {
  const [x, y] = [distance * Math.cos(angle), distance * Math.sin(angle)];
  return { x: Math.ceil(x - 1e-9), y: Math.ceil(y - 1e-9) };
}

/** A disc around the corner of a pixel, as the original places it. */
export function discStamp(radius: number): Stamp {
  const reach = Math.ceil(radius) + 4;
  const side = FINE * (2 * reach + 1);
  const middle = FINE * reach;
  const fine = new Uint8Array(side * side);
  for (const [dx, dy] of discPixels(FINE * radius)) fine[(middle + dy) * side + middle + dx] = 255;
  return { reach, values: Float32Array.from(reduced(fine, side, 2 * reach + 1), (value) => value / 255) };
}

type Offset = readonly [x: number, y: number];

function discPixels(radius: number): Offset[] {
  const reach = Math.floor(radius);
  const steps = Array.from({ length: 2 * reach + 1 }, (_, i) => i - reach);
  return steps.flatMap((y) =>
    steps.filter((x) => x * x + y * y <= radius * radius).map((x) => [x, y] as const),
  );
}

/** Pixels of a line from the origin, `thickness` wide: one a step where it is one pixel wide. */
function linePixels(x: number, y: number, thickness: number): Offset[] {
  const steps = Math.max(Math.abs(x), Math.abs(y), 1);
  if (thickness <= 1)
    return Array.from(
      { length: steps + 1 },
      (_, i) => [rounded((x * i) / steps), rounded((y * i) / steps)] as const,
    );
  const length = Math.hypot(x, y);
  return discPixels(steps + Math.ceil(thickness)).filter(([px, py]) => {
    const along = (px * x + py * y) / length;
    const across = (px * y - py * x) / length;
    return along >= 0 && along <= length && across >= -thickness / 2 && across < thickness / 2;
  });
}

/** Halves away from 0. */
function rounded(value: number): number {
  return Math.sign(value) * Math.round(Math.abs(value));
}
