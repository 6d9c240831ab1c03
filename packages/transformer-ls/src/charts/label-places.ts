/** Where names go beside dots so that they cover neither one another nor a dot. */
import type { Point } from './line.js';

export interface DotLabel {
  /** Of the dot, in pixels. */
  readonly at: Point;
  /** Of the name, in pixels. */
  readonly width: number;
}

export interface LabelPlace {
  /** Where the text begins or ends, and its middle height. */
  readonly x: number;
  readonly y: number;
  readonly anchor: 'start' | 'end';
  /** Moved away from the dot so far that a line must lead to it. */
  readonly isFar: boolean;
}

interface Box {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

const GAP = 9;
const HALF_HEIGHT = 7;
const STEP = 15;
const MOST_STEPS = 16;

/** One place for each label, in their order: beside the dot where there is room, else a little above or below. */
export function placeLabels(labels: readonly DotLabel[], frame: Box): LabelPlace[] {
  const taken: Box[] = labels.map(({ at }) => around(at.x - 5, at.x + 5, at.y, 5));
  return labels.map((label, own) => {
    const others = taken.filter((_, index) => index !== own);
    const free = candidates(label).find(({ box }) => isFree(box, others, frame));
    const { place, box } = free ?? candidates(label)[0]!;
    taken.push(box);
    return place;
  });
}

function candidates({ at, width }: DotLabel): { place: LabelPlace; box: Box }[] {
  const all: { place: LabelPlace; box: Box }[] = [];
  for (let step = 0; step <= MOST_STEPS; step++)
    for (const y of step === 0 ? [at.y] : [at.y - step * STEP, at.y + step * STEP])
      for (const anchor of ['start', 'end'] as const) {
        const x = anchor === 'start' ? at.x + GAP : at.x - GAP;
        const left = anchor === 'start' ? x : x - width;
        all.push({
          place: { x, y, anchor, isFar: step > 0 },
          box: around(left, left + width, y, HALF_HEIGHT),
        });
      }
  return all;
}

function around(left: number, right: number, middle: number, half: number): Box {
  return { left, right, top: middle - half, bottom: middle + half };
}

function isFree(box: Box, others: readonly Box[], frame: Box): boolean {
  const isInside =
    box.left >= frame.left && box.right <= frame.right && box.top >= frame.top && box.bottom <= frame.bottom;
  return isInside && others.every((other) => !overlaps(box, other));
}

function overlaps(a: Box, b: Box): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}
