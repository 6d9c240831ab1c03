/** Which quantities of a run are drawn over what. */
import type { MetricsRecord } from '@transformer-ls/formats';
import type { Line } from '../../parts/line-chart.js';

export const QUANTITIES = {
  bpc: 'bits per character',
  accuracy: 'accuracy',
  loss: 'loss, nats',
  learningRate: 'learning rate',
  gradNorm: 'gradient norm',
  tokensPerSecond: 'tokens per second',
  memoryBytes: 'memory, bytes',
} as const;
export type Quantity = keyof typeof QUANTITIES;

export const AXES = { step: 'steps', tokens: 'tokens', seconds: 'seconds' } as const;
export type Axis = keyof typeof AXES;

/** Points of a running mean for training, and the evaluations as they are. */
export function linesOf(
  name: string,
  colour: string,
  records: readonly MetricsRecord[],
  quantity: Quantity,
  axis: Axis,
): Line[] {
  const train = records.flatMap((record) => (record.type === 'train' ? [record] : []));
  const smooth = quantity === 'loss' || quantity === 'bpc' || quantity === 'accuracy';
  const points = train.flatMap((record): [number, number][] => {
    const value = record[quantity];
    return value === null ? [] : [[record[axis], value]];
  });
  // A classifier has no bits per character.
  if (points.length === 0) return [];
  const lines: Line[] = [{ name, colour, points: smooth ? smoothed(points) : points }];
  if (!smooth) return lines;
  const places = new Map(train.map((record) => [record.step, record[axis]]));
  const evaluated = records.flatMap((record): [number, number][] => {
    if (record.type !== 'evaluation') return [];
    const value = record[quantity];
    const place = axis === 'step' ? record.step : nearest(places, record.step);
    return value === null || place === undefined ? [] : [[place, value]];
  });
  if (evaluated.length > 0)
    lines.push({ name: `${name}, validation`, colour, points: evaluated, dashed: true });
  return lines;
}

/** Steps whose record was thinned out have that of the step before. */
function nearest(places: ReadonlyMap<number, number>, step: number): number | undefined {
  const exact = places.get(step);
  if (exact !== undefined) return exact;
  let found: number | undefined;
  for (const [at, place] of places) if (at <= step) found = place;
  return found;
}

/** Exponential mean over a fiftieth of the run. */
function smoothed(points: readonly [number, number][]): [number, number][] {
  const keep = 1 - 1 / Math.max(1, points.length / 50);
  let [mean, weight] = [0, 0];
  return points.map(([x, y]) => {
    if (!Number.isFinite(y)) return [x, y];
    mean = keep * mean + (1 - keep) * y;
    weight = keep * weight + (1 - keep);
    return [x, mean / weight];
  });
}

/** Colours that differ for most eyes, on light and on dark. */
const COLOURS = ['#3b7ddd', '#d9822b', '#2f9e6e', '#c0508f', '#8a6fd1', '#b5a32a', '#4fb0c6', '#c94f4f'];

/** Places in the order in which runs were first seen. */
const places = new Map<string, number>();

/** Of a run, the same as long as the page is open. */
export function colourOf(id: string): string {
  const place = places.get(id) ?? places.size;
  places.set(id, place);
  return COLOURS[place % COLOURS.length]!;
}
