/** What benches/attention-length.mjs says about its measurements: tables, and two pictures on logarithmic axes. */
import { loadavg } from 'node:os';
import { lineChart } from '../packages/transformer-ls/dist/charts/line-chart.js';
import { bestOfGroups, leftOut, machine, median, table } from './side-by-side.workers.mjs';

const KIND_TEXT = { forward: 'Forward, nothing kept for a backward pass', both: 'Forward and backward' };
const SHORTEST_OF_FLATNESS = 1024;

const isMeasured = (cell) => cell.times.length > 0 && cell.stopped === null;

/** Of each contestant its rows by length; of a group the setting that was fastest at its greatest common length. */
function chosen(rows) {
  const all = [...rows].map(([variant, own]) => ({ variant, own }));
  const measure = ({ own }) => {
    const last = own.findLast(({ both }) => isMeasured(both));
    return last === undefined ? Number.POSITIVE_INFINITY : median(last.both.times) / last.length ** 2;
  };
  return bestOfGroups(all, measure);
}

function cell(row, kind, text) {
  return row[kind].stopped ?? text(row[kind]);
}

function milliseconds(ms) {
  return ms >= 100 ? Math.round(ms).toLocaleString('en') : ms.toPrecision(3);
}

function tables(contestants, lengths) {
  const titles = ['tokens', ...contestants.map(({ variant }) => variant.name)];
  const of = (kind, text) =>
    table(
      titles,
      lengths.map((length, i) => [
        length.toLocaleString('en'),
        ...contestants.map(({ own }) => cell(own[i], kind, text)),
      ]),
    );
  return Object.keys(KIND_TEXT).flatMap((kind) => [
    `## ${KIND_TEXT[kind]}`,
    '',
    'Milliseconds:',
    '',
    of(kind, ({ times }) => milliseconds(median(times))),
    '',
    'MiB above start:',
    '',
    of(kind, ({ peakMib }) => peakMib.toFixed(0)),
    '',
  ]);
}

/** Largest over smallest time of a token, from 1,024 tokens on. */
function flatness(own, kind) {
  const times = own
    .filter((row) => row.length >= SHORTEST_OF_FLATNESS && isMeasured(row[kind]))
    .map((row) => median(row[kind].times) / row.length);
  return times.length < 2 ? '' : (Math.max(...times) / Math.min(...times)).toFixed(2);
}

/** Multiply-accumulates forward of a contestant at a length; null where it is not known. */
function workOf(contestants, { modelDim: D }, family, length) {
  if (family === 'full' || family === 'sdpa') return 4 * length * D ** 2 + 2 * length ** 2 * D;
  const counted = contestants
    .filter(({ variant }) => variant.family === 'fused')
    .flatMap(({ own }) => own.filter((row) => row.length === length && row.work !== null));
  return counted[0]?.work ?? null;
}

function summary(contestants, layer) {
  const titles = [
    'contestant',
    'longest with backward',
    'µs a token there',
    'GFLOP/s',
    '1024³',
    'share',
    'flatness forward',
    'flatness with backward',
  ];
  const lines = contestants.map(({ variant, own }) => {
    const last = own.findLast(({ both }) => isMeasured(both));
    const flat = ['forward', 'both'].map((kind) => flatness(own, kind));
    if (last === undefined) return [variant.name, 'none', '', '', '', '', ...flat];
    const ms = median(last.both.times);
    const macs = workOf(contestants, layer, variant.family, last.length);
    const product = median(last.products);
    const rate = macs === null ? null : (6 * macs) / ms / 1e6;
    return [
      variant.name,
      last.length.toLocaleString('en'),
      ((1000 * ms) / last.length).toFixed(2),
      rate?.toFixed(0) ?? '',
      product.toFixed(0),
      rate === null ? '' : `${((100 * rate) / product).toFixed(0)} %`,
      ...flat,
    ];
  });
  return table(titles, lines);
}

function layerText({ layer: { modelDim, heads } }) {
  return `D ${modelDim}, N ${heads}, w 8, r 32`;
}

/** The whole report, Markdown. */
export function describeLengths(settings, rows) {
  const { lengths, rounds, threads, memory, seconds } = settings;
  const contestants = chosen(rows);
  const done = Math.min(...[...rows.values()].map((own) => own.length));
  return [
    '# Attention against length',
    '',
    `${machine()}; ${threads} thread(s), load average ${loadavg()[0].toFixed(1)}. One layer with its projections, ${layerText(settings)}, batch 1, float32, random weights.`,
    `Medians over the passes of ${rounds} process(es) for each contestant and length, after a pass that is not counted; contestants take turns. Memory is the`,
    'highest physical memory of the process during these passes above what it held with the program loaded and a small layer run; input, output and their',
    `gradients are part of it. Limits: ${memory} GB (10^9 bytes) for a process with all it holds, ${seconds} s for a pass; no greater length is tried after a limit was passed, or`,
    'where the two lengths before foretell it. Flatness is the largest over the smallest time of a token, from 1,024 tokens to the longest measured; GFLOP/s',
    'counts six operations per multiply-accumulate of the forward pass, at the longest; the fused path is counted for all long-short ones.',
    '',
    ...leftOut(settings).flatMap((line) => [line, '']),
    summary(contestants, settings.layer),
    '',
    ...tables(contestants, lengths.slice(0, done)),
  ].join('\n');
}

const FAMILIES = ['fused', 'composed', 'published', 'full', 'sdpa'];

/** A colour for each family; a line without dots for libtorch 1. */
function seriesOf(contestants, value) {
  return contestants.map(({ variant, own }) => ({
    name: variant.group ?? variant.name,
    colour: FAMILIES.indexOf(variant.family),
    look: /(libtorch|PyTorch) 1\./.test(variant.name) ? 'line' : 'marked',
    points: own.filter(({ both }) => isMeasured(both)).map((row) => ({ x: row.length, y: value(row) })),
  }));
}

/** [name, SVG]. */
export function lengthPictures(settings, rows) {
  const { threads, memory, seconds, layer } = settings;
  const contestants = chosen(rows);
  const subtitle = `${layerText(settings)}, ${threads} thread(s); a line that ends: past ${memory} GB or ${seconds} s`;
  const common = { subtitle, xLabel: 'tokens', xScale: 'log2', yScale: 'log10', height: 520 };
  return [
    [
      `attention-length-${layer.modelDim}-time`,
      lineChart({
        ...common,
        title: 'Time of a layer of attention, forward and backward',
        yLabel: 'milliseconds',
        series: seriesOf(contestants, ({ both }) => median(both.times)),
      }),
    ],
    [
      `attention-length-${layer.modelDim}-memory`,
      lineChart({
        ...common,
        title: 'Memory of a layer of attention, forward and backward',
        yLabel: 'MiB above start',
        series: seriesOf(contestants, ({ both }) => both.peakMib),
      }),
    ],
  ];
}
