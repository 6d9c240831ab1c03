/** The sizes with which Pathfinder is drawn. Lengths are in pixels. */
import type { DashShape } from './pathfinder-stamps.js';

export interface PathfinderShape extends DashShape {
  /** Pixels on a side. */
  readonly size: number;
  /** Pixels at the border that are kept free. */
  readonly padding: number;
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
  /** Brightness of the long paths and of the distractors, beside that of the discs. */
  readonly contrast: number;
  readonly distractorContrast: number;
}

const common = { dashes: 14, distractorDashes: 4 };

/** The sizes of the "hard" sets (14 dashes) of Long Range Arena. */
export const pathfinderShapes: Readonly<Record<32 | 64 | 128 | 256, PathfinderShape>> = {
  32: {
    ...common,
    size: 32,
    padding: 1,
    dashLength: 2,
    thickness: 0.5,
    margins: [1],
    markerRadius: 1.5,
    continuity: 1,
    distractors: 5,
    seedDistance: 7,
    contrast: 1.5,
    distractorContrast: 2,
  },
  64: {
    ...common,
    size: 64,
    padding: 1,
    dashLength: 5,
    thickness: 1,
    margins: [1],
    markerRadius: 2.5,
    continuity: 1.8,
    distractors: 5,
    seedDistance: 12,
    contrast: 0.8,
    distractorContrast: 0.8,
  },
  128: {
    ...common,
    size: 128,
    padding: 1,
    dashLength: 5,
    thickness: 1.5,
    margins: [2, 3],
    markerRadius: 3,
    continuity: 1.8,
    distractors: 8,
    seedDistance: 20,
    contrast: 0.9,
    distractorContrast: 0.9,
  },
  256: {
    ...common,
    size: 256,
    padding: 22,
    dashLength: 5,
    thickness: 2,
    margins: [3],
    markerRadius: 5,
    continuity: 1.8,
    distractors: 7,
    seedDistance: 27,
    contrast: 1,
    distractorContrast: 1,
  },
};
