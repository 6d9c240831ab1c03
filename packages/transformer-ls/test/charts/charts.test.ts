import type { EvaluationRecord, MetricsRecord, TrainRecord } from '@transformer-ls/formats';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { contextChart, trainingCurve } from '../../src/charts/curves.js';
import { finitePieces, type Point, piecesBelow, thin } from '../../src/charts/line.js';
import { type LineChart, lineChart } from '../../src/charts/line-chart.js';
import { ExponentialAverage } from '../../src/charts/smoothing.js';
import { escapeXml } from '../../src/charts/svg.js';
import { linearTicks, logTicks, timeTicks } from '../../src/charts/ticks.js';
import { checkXml, outsidePlaces } from './check-svg.js';

const labels = (ticks: readonly { label: string }[]) => ticks.map((tick) => tick.label);

describe('ticks', () => {
  it('fall on multiples of 1, 2 or 5', () => {
    expect(labels(linearTicks(0, 20_000, 8))).toEqual(['0', '5,000', '10,000', '15,000', '20,000']);
    expect(labels(linearTicks(1.93, 3.1, 6))).toEqual(['2.0', '2.2', '2.4', '2.6', '2.8', '3.0']);
    expect(labels(linearTicks(-0.02, 0.02, 4))).toEqual(['-0.02', '-0.01', '0.00', '0.01', '0.02']);
    expect(labels(linearTicks(0, 5e6, 5))).toEqual(['0', '1M', '2M', '3M', '4M', '5M']);
  });

  it('of time fall on whole seconds, minutes, hours and days', () => {
    expect(labels(timeTicks(0, 3600, 4))).toEqual(['0', '15m', '30m', '45m', '1h']);
    expect(labels(timeTicks(0, 3 * 86_400, 3))).toEqual(['0', '1d', '2d', '3d']);
    expect(labels(timeTicks(0, 6000, 4))).toEqual(['0', '30m', '1h', '1h 30m']);
    expect(labels(timeTicks(0, 2, 4))).toEqual(['0.0s', '0.5s', '1.0s', '1.5s', '2.0s']);
  });

  it('of logarithms fall on powers, evenly thinned', () => {
    expect(labels(logTicks(128, 4096, 2, 10))).toEqual(['128', '256', '512', '1,024', '2,048', '4,096']);
    expect(labels(logTicks(1, 1e6, 10, 4))).toEqual(['1', '100', '10,000', '1M']);
  });

  it('are never more than asked and never outside', () => {
    const span = fc.record({
      low: fc.double({ min: -1e6, max: 1e6, noNaN: true }),
      log: fc.integer({ min: -4, max: 9 }),
    });
    fc.assert(
      fc.property(span, fc.integer({ min: 1, max: 20 }), ({ low, log }, most) => {
        const high = low + 10 ** log;
        for (const ticks of [linearTicks(low, high, most), timeTicks(low, high, most)]) {
          expect(ticks.length).toBeLessThanOrEqual(most + 1);
          const room = (high - low) * 1e-6;
          for (const { value } of ticks) {
            expect(value).toBeGreaterThanOrEqual(low - room);
            expect(value).toBeLessThanOrEqual(high + room);
          }
        }
      }),
    );
  });
});

describe('lines', () => {
  const wave = Array.from({ length: 100_000 }, (_, x) => ({ x, y: x === 54_321 ? 99 : Math.sin(x / 100) }));

  it('are thinned without losing a peak or an end', () => {
    const thinned = thin(wave, (x) => Math.floor(x / 200));
    expect(thinned.length).toBeLessThanOrEqual(500 * 4);
    expect(thinned).toContainEqual({ x: 54_321, y: 99 });
    expect([thinned[0], thinned.at(-1)]).toEqual([wave[0], wave.at(-1)]);
    expect(thinned.every(({ x }, index) => index === 0 || x > thinned[index - 1]!.x)).toBe(true);
  });

  it('have gaps where a value is not finite', () => {
    const points = [1, Number.NaN, 2, 3, Number.POSITIVE_INFINITY].map((y, x) => ({ x, y }));
    expect(finitePieces(points)).toEqual([
      [{ x: 0, y: 1 }],
      [
        { x: 2, y: 2 },
        { x: 3, y: 3 },
      ],
    ]);
  });

  it('are cut where they cross the top', () => {
    const points = [5, 1, 1, 3].map((y, x) => ({ x, y }));
    expect(piecesBelow(points, 2)).toEqual([
      [
        { x: 0.75, y: 2 },
        { x: 1, y: 1 },
        { x: 2, y: 1 },
        { x: 2.5, y: 2 },
      ],
    ]);
  });
});

describe('exponential average', () => {
  it('begins at the first value and passes over what is not finite', () => {
    const average = new ExponentialAverage(0.5);
    expect(average.add(Number.NaN)).toBeUndefined();
    expect(average.add(4)).toBe(4);
    expect(average.add(Number.POSITIVE_INFINITY)).toBe(4);
    expect(average.add(1)).toBeCloseTo(4 - (10 / 11) * 3, 12);
    for (let count = 2; count < 20; count++) average.add(1);
    expect(average.add(2)).toBeCloseTo(1.5, 3);
    expect(() => new ExponentialAverage(1)).toThrow('decay must be from 0 to below 1, got 1');
  });
});

describe('lineChart', () => {
  const small: LineChart = {
    title: 'Loss',
    xLabel: 'step',
    yLabel: 'loss',
    width: 320,
    height: 240,
    series: [
      {
        name: 'train',
        points: [
          { x: 0, y: 4 },
          { x: 10, y: 2 },
        ],
      },
    ],
    references: [{ label: 'gzip', y: 3 }],
  };

  it('draws exactly this for a small chart', () => {
    const svg = lineChart(small).replace(/<style>.*<\/style>/, '<style/>');
    expect(svg).toMatchInlineSnapshot(`
      "<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 240" width="320" height="240" role="img" font-size="12">
      <title>Loss</title><style/>
      <rect class="tls-page" width="320" height="240" rx="6"/>
      <text class="tls-title" x="18" y="32">Loss</text>
      <line class="tls-line tls-c0" x1="18" x2="40" y1="52" y2="52"/><text class="tls-ink" x="47" y="56">train</text>
      <g class="tls-grid"><line x1="60" x2="267.72" y1="180.91" y2="180.91"/><line x1="60" x2="267.72" y1="130" y2="130"/><line x1="60" x2="267.72" y1="79.09" y2="79.09"/><line x1="60" x2="60" y1="74" y2="186"/><line x1="163.86" x2="163.86" y1="74" y2="186"/><line x1="267.72" x2="267.72" y1="74" y2="186"/></g>
      <line class="tls-reference" x1="60" x2="267.72" y1="130" y2="130"/><text class="tls-muted" x="275.72" y="134">gzip</text>
      <polyline class="tls-line tls-c0" points="60,79.09 267.72,180.91"/>
      <line class="tls-axis" x1="60" x2="267.72" y1="186" y2="186"/><g class="tls-muted"><text x="60" y="204" text-anchor="middle">0</text><text x="163.86" y="204" text-anchor="middle">5</text><text x="267.72" y="204" text-anchor="middle">10</text><text x="52" y="184.91" text-anchor="end">2</text><text x="52" y="134" text-anchor="end">3</text><text x="52" y="83.09" text-anchor="end">4</text></g>
      <text class="tls-ink" x="163.86" y="226" text-anchor="middle">step</text><text class="tls-ink" x="24" y="130" text-anchor="middle" transform="rotate(-90 24 130)">loss</text>
      </svg>
      "
    `);
  });

  it('is valid XML with everything inside the picture, whatever comes in', () => {
    const text = fc.string({ unit: 'binary', maxLength: 60 });
    const number = fc.oneof(fc.double(), fc.double({ min: 0, max: 10, noNaN: true }));
    const points = fc.array(fc.record({ x: number, y: number }), { maxLength: 40 }).map((all) => {
      return all.sort((a: Point, b: Point) => a.x - b.x);
    });
    const look = fc.constantFrom('line', 'faint', 'marked');
    const series = fc.array(fc.record({ name: text, points, look }), { maxLength: 7 });
    const references = fc.array(
      fc.record({ label: fc.string({ maxLength: 12 }), y: fc.double({ min: -9, max: 9, noNaN: true }) }),
      { maxLength: 4 },
    );
    const xScale = fc.constantFrom('linear', 'time', 'log2', 'log10');
    const yScale = fc.constantFrom('linear', 'log2', 'log10');
    fc.assert(
      fc.property(
        fc.record({ title: text, xLabel: text, yLabel: text, series, references, xScale, yScale }),
        (chart) => {
          const svg = lineChart({ ...chart, width: 600, height: 500 });
          checkXml(svg);
          expect(outsidePlaces(svg)).toEqual([]);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('draws what grows like a power as a straight line on two logarithmic axes', () => {
    const points = [1, 10, 100, 1000].map((x) => ({ x, y: 3 * x ** 2 }));
    const svg = lineChart({
      ...small,
      series: [{ name: 'square', points }],
      xScale: 'log2',
      yScale: 'log10',
    });
    const [, drawn = ''] = /points="([^"]*)"/.exec(svg) ?? [];
    const places = drawn.split(' ').map((pair) => pair.split(',').map(Number));
    const slopes = places.slice(1).map(([x, y], i) => (y! - places[i]![1]!) / (x! - places[i]![0]!));
    expect(slopes).toHaveLength(3);
    for (const slope of slopes) expect(slope).toBeCloseTo(slopes[0]!, 2);
  });

  it('keeps the labels of neighbouring references apart', () => {
    const references = [2.35, 2.32, 2.33].map((y) => ({ label: `at ${y}`, y }));
    const svg = lineChart({ ...small, references });
    const heights = [...svg.matchAll(/ y="([\d.]+)">at/g)]
      .map((match) => Number(match[1]))
      .sort((a, b) => a - b);
    expect(heights).toHaveLength(3);
    expect(heights[1]! - heights[0]!).toBeGreaterThanOrEqual(15 - 0.02);
    expect(heights[2]! - heights[1]!).toBeGreaterThanOrEqual(15 - 0.02);
  });

  it('stays small for a long series', () => {
    const points = Array.from({ length: 300_000 }, (_, x) => ({ x, y: Math.sin(x) }));
    expect(lineChart({ ...small, series: [{ name: 'long', points }] }).length).toBeLessThan(40_000);
  });

  it('says so when there is nothing to draw, and refuses a size it cannot draw', () => {
    expect(lineChart({ ...small, series: [] })).toContain('nothing measured yet');
    expect(() => lineChart({ ...small, width: 100 })).toThrow(
      'smallest size is 320 x 240 pixels, got 100 x 240',
    );
  });
});

describe('escapeXml', () => {
  it('leaves nothing that XML forbids', () => {
    expect(escapeXml('a<b>&"\'\u0000\ud800')).toBe('a&#60;b&#62;&#38;&#34;&#39;\uFFFD\uFFFD');
  });
});

describe('trainingCurve', () => {
  const train = (step: number, bpc: number): TrainRecord => {
    const base = {
      loss: bpc * Math.LN2,
      bpc,
      accuracy: null,
      learningRate: 0.001,
      gradNorm: null,
      tokensPerSecond: 1000,
      memoryBytes: 1,
    };
    return { type: 'train', step, tokens: step * 1024, seconds: step * 2, ...base };
  };
  const evaluation = (step: number, bpc: number): EvaluationRecord => {
    return {
      type: 'evaluation',
      step,
      split: 'validation',
      tokens: 1,
      loss: bpc * Math.LN2,
      bpc,
      accuracy: null,
      top5: null,
      seconds: 1,
      best: true,
    };
  };
  const records: MetricsRecord[] = Array.from({ length: 400 }, (_, i) =>
    train(i + 1, 2 + 6 * Math.exp(-i / 5)),
  );
  records.splice(200, 0, evaluation(200, 2.25));
  records.push(evaluation(400, 2.125), { type: 'event', step: 400, event: 'end', message: 'done' });

  it('names the best evaluation and lets the first moments leave the picture', () => {
    const svg = trainingCurve(records, { name: 'a run', quantity: 'bpc' });
    checkXml(svg);
    expect(outsidePlaces(svg)).toEqual([]);
    expect(svg).toContain('best 2.125 on validation at step 400');
    expect(svg).not.toContain('>7.0<');
    expect(svg.match(/<circle/g)).toHaveLength(3);
  });

  it('places evaluations on the other axes where the training was', () => {
    const svg = trainingCurve(records, { name: 'a run', quantity: 'loss', axis: 'seconds' });
    expect(svg).toContain('>10m<');
    const dots = [...svg.matchAll(/<circle class="tls-dot tls-c1" cx="([\d.]+)"/g)].map((match) =>
      Number(match[1]),
    );
    const [legend, first, last] = dots;
    expect(legend).toBeLessThan(last!);
    const left = Number(/class="tls-axis" x1="([\d.]+)"/.exec(svg)?.[1]);
    expect((first! - left) / (last! - left)).toBeCloseTo(0.5, 2);
  });

  it('draws a run that has only begun, and one that went wrong', () => {
    for (const few of [[], [train(1, 8)], [train(1, Number.NaN), train(2, Number.POSITIVE_INFINITY)]]) {
      const svg = trainingCurve(few, { name: 'x', quantity: 'bpc', axis: 'tokens' });
      checkXml(svg);
      expect(outsidePlaces(svg)).toEqual([]);
    }
  });

  it('draws bits per character against context length in doublings', () => {
    const points = [4096, 256, 1024, 512, 2048].map((contextLength) => ({
      contextLength,
      bpc: 3 - contextLength / 1e4,
    }));
    const svg = contextChart('Context', [{ name: 'small', points }], [{ label: 'xz -9e 2.32', y: 2.32 }]);
    checkXml(svg);
    for (const label of ['256', '512', '1,024', '2,048', '4,096']) expect(svg).toContain(`>${label}<`);
  });
});
