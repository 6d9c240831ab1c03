/** What benches/training-step.mjs says about its measurements. */
import { median, table } from './side-by-side.workers.mjs';

/** A loss or norm of another variant may differ by rounding only; a few steps of AdamW make the differences grow. */
const TOLERANCE = 1e-3;

/** @throws Error where a variant computed something else than the first one */
export function compareLosses({ name, rows }) {
  const [expected, ...others] = rows.map(({ first, steps }) => [...first, ...steps]);
  for (const [i, steps] of others.entries())
    for (const key of ['loss', 'norm'])
      for (const [step, { [key]: value }] of steps.entries()) {
        const difference = Math.abs(value / expected[step][key] - 1);
        if (!(difference <= TOLERANCE))
          throw new Error(
            `${name}: ${key} of step ${step + 1}: ${rows[0].variant.name} ${expected[step][key]}, ${rows[i + 1].variant.name} ${value}`,
          );
      }
}

/** The largest relative difference of a quantity in the first two steps: the same model, and then the same memory and update. */
function largestDifference(rows, key) {
  const differences = rows.flatMap(({ first }) =>
    first.map((step, i) => Math.abs(step[key] / rows[0].first[i][key] - 1)),
  );
  return Math.max(...differences).toExponential(1);
}

/** Sizes in words, and how many of what a step takes. */
function sizesOf({ config, batchSize: B, segmentLength }) {
  if (config.kind === 'vil-ls') {
    const { stages, imageHeight, imageWidth } = config;
    const of = (key) => stages.map((stage) => stage[key]).join(', ');
    const sizes = `layers ${of('layers')}, widths ${of('modelDim')}; ${B} images of ${imageHeight} x ${imageWidth} a step`;
    return { sizes, count: B, unit: 'images' };
  }
  const { layers, modelDim: D, heads, innerDim } = config;
  const model = `${layers} layers, D ${D}, ${heads} heads, inner ${innerDim}`;
  if (config.kind === 'sequence-classifier') {
    const { maxLength: L, attention } = config;
    const sizes = `${model}, window ${attention.windowSize}, rank ${attention.projectionRank}; ${B} x ${L} tokens a step, padding counted`;
    return { sizes, count: B * L, unit: 'tokens' };
  }
  const { windowSize, chunkSize, projectionRank, memoryLength } = config;
  const sizes = `${model}, window ${windowSize}, chunk ${chunkSize}, rank ${projectionRank}, memory ${memoryLength}; ${B} x ${segmentLength} tokens a step`;
  return { sizes, count: B * segmentLength, unit: 'tokens' };
}

/** A Markdown section: sizes, what agreed, one line per variant. */
export function describeCase({ name, job, load, rows, multiplyAccumulates }) {
  const peak = Math.max(...rows.map(({ products }) => median(products)));
  const baselines = rows.filter(({ variant }) => !variant.ours);
  const { sizes, count, unit } = sizesOf(job);
  const agreed =
    rows.length > 1
      ? `Same weights and data: losses of the first two steps differ by at most ${largestDifference(rows, 'loss')}, gradient norms by ${largestDifference(rows, 'norm')} (relative).`
      : '';
  const ratios = baselines.map(({ variant }) => `times as fast as ${variant.group ?? variant.name}`);
  const header = [
    'variant',
    'ms/step',
    'fastest',
    'CPU ms',
    'page faults',
    `${unit}/s`,
    'GFLOP/s',
    'peak MiB',
    'above start',
    '1024³',
    'share',
    ...ratios,
  ];
  const perSecond = (ms) => ((1000 * count) / ms).toFixed(unit === 'images' ? 2 : 0);
  const lines = rows.map((row) => cellsOf(row, baselines, { perSecond, multiplyAccumulates }));
  return [
    `## ${name}`,
    '',
    `${sizes}. ${agreed}`,
    `Medians of ${rows[0].steps.length} interleaved steps; load average ${load.map((x) => x.toFixed(1)).join(' ')}; best median of a 1024³ product ${peak.toFixed(0)} GFLOP/s; ${(multiplyAccumulates / 1e9).toFixed(1)} G multiply-accumulates forward.`,
    '',
    table(header, lines),
    '',
    ...rows.map(({ variant, runtime }) => `- ${variant.name}: ${runtime}`),
    '',
  ].join('\n');
}

function cellsOf({ variant, steps, products, memory }, baselines, { perSecond, multiplyAccumulates }) {
  const of = (key) => median(steps.map((step) => step[key]));
  const ms = of('ms');
  const [rate, product] = [(multiplyAccumulates * 2 * 3) / ms / 1e6, median(products)];
  const ratios = baselines.map((other) =>
    variant.ours ? (median(other.steps.map((step) => step.ms)) / ms).toFixed(2) : '',
  );
  return [
    variant.name,
    ms.toFixed(0),
    Math.min(...steps.map((step) => step.ms)).toFixed(0),
    of('cpuMs').toFixed(0),
    of('pageFaults').toFixed(0),
    perSecond(ms),
    rate.toFixed(0),
    memory.peakMib.toFixed(0),
    (memory.peakMib - memory.startMib).toFixed(0),
    product.toFixed(0),
    `${((100 * rate) / product).toFixed(0)} %`,
    ...ratios,
  ];
}
