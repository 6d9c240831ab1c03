import type { EvaluationRecord, MetricsRecord, TrainRecord } from '@transformer-ls/formats';
import { formatInteger } from '../text/numbers.js';
import { lineChart, type Point, type ReferenceLine, type Series } from './line-chart.js';
import { ExponentialAverage } from './smoothing.js';

export type CurveQuantity = 'loss' | 'bpc' | 'accuracy';
export type CurveAxis = 'step' | 'tokens' | 'seconds';

export interface CurveOptions {
  /** Name of the run, part of the title. */
  readonly name: string;
  readonly quantity: CurveQuantity;
  /** What runs along the bottom. Default `step`. */
  readonly axis?: CurveAxis;
  /** What a token of the records is. Default `tokens`. */
  readonly counts?: 'tokens' | 'images';
  /** Horizontal lines to compare with, such as bits per character of `gzip -9` on the same text. */
  readonly references?: readonly ReferenceLine[];
}

const UNITS = { loss: 'loss (nats)', bpc: 'bits per character', accuracy: 'accuracy' };
const TITLES = { loss: 'Loss', bpc: 'Bits per character', accuracy: 'Accuracy' };
const X_LABELS = { step: 'step', seconds: 'training time' };
const SMOOTH_DECAY = 0.95;
/** Share of the records at the start that may leave the picture at the top. */
const STEEP_START = 0.03;

/** Draws the curve of a run from its metrics: training raw and smoothed, and every evaluated part of the data. */
export function trainingCurve(records: readonly MetricsRecord[], options: CurveOptions): string {
  const { name, quantity, axis = 'step', counts = 'tokens', references = [] } = options;
  const train = records.filter((record) => record.type === 'train');
  const evaluations = records.filter((record) => record.type === 'evaluation');
  const place = placing(train, axis);
  const raw = train.map((record) => ({ x: place(record), y: record[quantity] ?? Number.NaN }));
  const evaluated = evaluationSeries(evaluations, quantity, place);
  const series: Series[] = [
    { name: 'training, each record', points: raw, look: 'faint', colour: 0 },
    { name: 'training, smoothed', points: smoothed(raw), colour: 0 },
    ...evaluated,
  ];
  const yTop = topWorthSeeing(raw, evaluated, references);
  return lineChart({
    title: `${TITLES[quantity]} of ${name}`,
    ...subtitle(evaluations, quantity),
    xLabel: axis === 'tokens' ? `${counts} trained` : X_LABELS[axis],
    yLabel: UNITS[quantity],
    xScale: axis === 'seconds' ? 'time' : 'linear',
    series,
    references,
    ...(yTop === undefined ? {} : { yTop }),
  });
}

/** Bits per character of one evaluation at one context length. */
export interface ContextPoint {
  /** Tokens of context that the model may look back on. */
  readonly contextLength: number;
  readonly bpc: number;
}

export interface ContextCurve {
  readonly name: string;
  readonly points: readonly ContextPoint[];
}

/** Draws bits per character against context length, the latter doubling from mark to mark. */
export function contextChart(
  title: string,
  curves: readonly ContextCurve[],
  references: readonly ReferenceLine[] = [],
): string {
  const series = curves.map(({ name, points }): Series => {
    const sorted = [...points].sort((a, b) => a.contextLength - b.contextLength);
    return {
      name,
      look: 'marked',
      points: sorted.map(({ contextLength, bpc }) => ({ x: contextLength, y: bpc })),
    };
  });
  const xLabel = 'context length (tokens)';
  return lineChart({ title, xLabel, yLabel: UNITS.bpc, xScale: 'log2', series, references });
}

type Place = (record: TrainRecord | EvaluationRecord) => number;

/** An evaluation knows its step only: on the other axes it lies where the training was at that step. */
function placing(train: readonly TrainRecord[], axis: CurveAxis): Place {
  if (axis === 'step') return (record) => record.step;
  return (record) => {
    if (record.type === 'train') return record[axis];
    const reached = train.findLast((one) => one.step <= record.step);
    return reached === undefined ? 0 : reached[axis];
  };
}

function evaluationSeries(
  evaluations: readonly EvaluationRecord[],
  quantity: CurveQuantity,
  place: Place,
): Series[] {
  const splits = [...new Set(evaluations.map((record) => record.split))];
  return splits.map((split, index) => {
    const own = evaluations.filter((record) => record.split === split);
    const points = own.map((record) => ({ x: place(record), y: record[quantity] ?? Number.NaN }));
    return { name: split, look: 'marked', colour: index + 1, points };
  });
}

function smoothed(points: readonly Point[]): Point[] {
  const average = new ExponentialAverage(SMOOTH_DECAY);
  return points.flatMap(({ x, y }) => {
    const value = average.add(y);
    return value === undefined ? [] : [{ x, y: value }];
  });
}

/** An untrained model is so far off for a moment that showing it would flatten all the rest of the curve. */
function topWorthSeeing(
  raw: readonly Point[],
  evaluated: readonly Series[],
  references: readonly ReferenceLine[],
): number | undefined {
  const later = raw.slice(Math.ceil(raw.length * STEEP_START));
  const points = [...later, ...evaluated.flatMap((series) => series.points)].filter(({ y }) =>
    Number.isFinite(y),
  );
  if (raw.length < 20 || points.length === 0) return undefined;
  const highest = points.reduce((most, { y }) => Math.max(most, y), Number.NEGATIVE_INFINITY);
  return references.reduce((most, { y }) => Math.max(most, y), highest);
}

function subtitle(evaluations: readonly EvaluationRecord[], quantity: CurveQuantity): { subtitle?: string } {
  const measured = evaluations.flatMap(({ split, step, [quantity]: value }) =>
    value !== null && Number.isFinite(value) ? [{ split, step, value }] : [],
  );
  const [first, ...others] = measured;
  if (first === undefined) return {};
  const sign = quantity === 'accuracy' ? -1 : 1;
  const best = others.reduce((low, one) => (sign * one.value < sign * low.value ? one : low), first);
  return { subtitle: `best ${best.value.toFixed(3)} on ${best.split} at step ${formatInteger(best.step)}` };
}
