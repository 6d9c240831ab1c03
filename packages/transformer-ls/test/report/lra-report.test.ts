import { formatMetricsLine, type MetricsRecord } from '@transformer-ls/formats';
import { describe, expect, it } from 'vitest';
import { mechanismLabel } from '../../src/attention/mechanism-text.js';
import { accuracyAgainstSpeed } from '../../src/charts/accuracy-against-speed.js';
import { classifierCost } from '../../src/evaluate/cost.js';
import { meanAndSpread } from '../../src/evaluate/statistics.js';
import { SequenceClassifier } from '../../src/models/sequence-classifier/model.js';
import { classifierPreset } from '../../src/models/sequence-classifier/presets.js';
import { groupRuns, type LraRun } from '../../src/report/lra-runs.js';
import { lraMarkdown, lraRow, setsOf } from '../../src/report/lra-table.js';
import { figuresOf } from '../../src/run/run-figures.js';
import { recipe } from '../../src/train/recipes.js';
import { checkXml } from '../charts/check-svg.js';
import { unreadRowsCost } from '../models/unread-rows.js';

const trained = (step: number, tokens: number, tokensPerSecond: number): MetricsRecord => ({
  type: 'train',
  step,
  tokens,
  loss: 2,
  bpc: null,
  accuracy: 0.2,
  learningRate: 1e-4,
  gradNorm: 1,
  tokensPerSecond,
  seconds: step,
  memoryBytes: step * 1000,
});

const evaluated = (step: number, accuracy: number, best: boolean): MetricsRecord => ({
  type: 'evaluation',
  step,
  split: 'valid',
  tokens: 100,
  loss: 2,
  bpc: null,
  accuracy,
  top5: null,
  seconds: 100,
  best,
});

function runOf(seed: number, accuracy: number | null, changes: object = {}): LraRun {
  const config = { ...recipe('lra/listops'), seed, ...changes };
  if (config.kind !== 'classifier-training') throw new Error('expected a classifier');
  return {
    folder: `runs/${seed}`,
    config,
    figures: figuresOf([trained(1, 100, 50), trained(2, 300, 100), evaluated(2, 0.375, true)]),
    test:
      accuracy === null
        ? undefined
        : {
            kind: 'classifier-evaluation',
            date: '2026-01-01',
            model: { path: 'x', step: 2, parameters: 249_418, mode: 'reference', attention: 'long-short' },
            data: {
              name: 'listops',
              reportAs: 'listops-other',
              split: 'test',
              sha256: 'a',
              source: 'b',
              note: 'Generated.',
            },
            examples: 2000,
            accuracy,
            loss: 2,
            seconds: 1,
          },
  };
}

describe('statistics', () => {
  it('are the mean and the sample standard deviation', () => {
    expect(meanAndSpread([1, 2, 3, 4])).toEqual({
      mean: 2.5,
      standardDeviation: Math.sqrt(5 / 3),
      count: 4,
    });
    expect(meanAndSpread([7])).toEqual({ mean: 7, standardDeviation: null, count: 1 });
    expect(() => meanAndSpread([])).toThrow('expected at least one value, received none');
  });
});

describe('figures of a run', () => {
  it('leave evaluations out of the speed and find the best one and the peak', () => {
    const records = [
      trained(1, 100, 1),
      evaluated(1, 0.4, true),
      trained(2, 300, 100),
      trained(3, 400, 50),
      evaluated(3, 0.3, false),
    ];
    // Two steps of 2 seconds each after the first.
    expect(figuresOf(records)).toMatchObject({
      steps: 3,
      stepsPerSecond: 0.5,
      peakMemoryBytes: 3000,
      best: { step: 1, accuracy: 0.4 },
    });
    expect(figuresOf([])).toEqual({ steps: 0, stepsPerSecond: null, peakMemoryBytes: 0, best: null });
    expect(records.every((record) => formatMetricsLine(record).endsWith('\n'))).toBe(true);
  });
});

describe('the report', () => {
  const cost = () => 194e6;

  it('puts runs together that differ in nothing but the seed', () => {
    const runs = [runOf(1, 0.36), runOf(2, 0.38), runOf(3, null, { batchSize: 16 }), runOf(4, 0.37)];
    const groups = groupRuns(runs);
    expect(groups.map(({ runs: members }) => members.map(({ config }) => config.seed))).toEqual([
      [1, 2, 4],
      [3],
    ]);
    const row = lraRow(groups[0]!, cost);
    expect(row.testAccuracy?.mean).toBeCloseTo(37, 10);
    expect(row.testAccuracy?.standardDeviation).toBeCloseTo(1, 10);
    expect(row).toMatchObject({ set: 'listops', parameters: 249_418, steps: 2, plannedSteps: 5000 });
    expect(lraRow(groups[1]!, cost)).toMatchObject({ testAccuracy: null, parameters: null });
  });

  it('shows accuracy with its spread beside published figures and their marks', () => {
    const rows = groupRuns([runOf(1, 0.36), runOf(2, 0.38), runOf(3, null, { batchSize: 16 })]).map((group) =>
      lraRow(group, cost),
    );
    const text = lraMarkdown(rows, (set) => `${set}.svg`);
    expect(text).toContain(
      '| long-short (window 8, rank 32), reference mode | 37.00 ± 1.41 | 2 | 37.50 ± 0.00 | 2,000 | 2 x 64 | 249,418 | 194M | 2 of 5,000 x 32 |',
    );
    expect(text).toContain('| *Transformer-LS (w, r = 8, 32) (a)* | *37.50* |');
    expect(text).toMatch(/^- \(a\) Zhu et al\./m);
    expect(text).toContain(
      'Results here are those of **listops-other**, not of the published listops.\nGenerated.\n',
    );
    const columns = text.split('\n').filter((line) => line.startsWith('|'));
    expect(new Set(columns.map((line) => line.split('|').length)).size).toBe(1);
    expect(setsOf(rows)).toEqual(['listops']);
  });

  it('names a mechanism with the sizes that it has', () => {
    const { attention } = classifierPreset('lra-text');
    expect(mechanismLabel(attention)).toBe('long-short (window 8, rank 32)');
    expect(mechanismLabel({ ...attention, name: 'full' })).toBe('full');
    expect(mechanismLabel({ ...attention, name: 'reformer' })).toBe('reformer (hashes 2, block 64)');
  });

  it('draws a dot for each model, labels inside the picture', () => {
    const models = Array.from({ length: 12 }, (_, i) => ({
      model: `mechanism ${i} (with a size)`,
      stepsPerSecond: 1 + i,
      accuracy: 36 + (i % 3) / 10,
      spread: i % 2 ? 0.4 : null,
    }));
    const svg = accuracyAgainstSpeed('listops', models, [{ label: 'published', accuracy: 37.5 }]);
    checkXml(svg);
    expect(svg.match(/<circle/g)).toHaveLength(12);
    for (const { model } of models) expect(svg).toContain(model);
  });
});

describe('cost of an example', () => {
  it.each([
    ['lra-listops', 0.194e9],
    ['lra-listops-best', 0.155e9],
    ['lra-text', 0.387e9],
    ['lra-retrieval', 0.774e9],
  ])('%s: multiply-accumulates of the oracle table', (name, expected) => {
    const config = classifierPreset(name, 'reference');
    const model = new SequenceClassifier(config);
    const { perExample } = classifierCost(model, config.maxLength);
    expect((perExample + unreadRowsCost(config)) / expected).toBeCloseTo(1, 2);
    model.dispose();
  });
});
