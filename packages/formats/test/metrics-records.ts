// Records of metrics.jsonl for property tests: any values that the types allow, numbers that went wrong included.

import fc from 'fast-check';
import type { MetricsRecord } from '../src/index.js';

// JSON writes -0 as 0.
const measured = fc.double().map((value) => value + 0);
const count = fc.nat();
const word = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 });

export const metricsRecords: fc.Arbitrary<MetricsRecord> = fc.oneof(
  fc.record({
    type: fc.constant('train' as const),
    step: count,
    tokens: count,
    loss: measured,
    bpc: fc.option(measured),
    accuracy: fc.option(measured),
    learningRate: measured,
    gradNorm: fc.option(measured),
    tokensPerSecond: measured,
    seconds: measured,
    memoryBytes: count,
  }),
  fc.record({
    type: fc.constant('evaluation' as const),
    step: count,
    split: word,
    tokens: count,
    loss: measured,
    bpc: fc.option(measured),
    accuracy: fc.option(measured),
    top5: fc.option(measured),
    seconds: measured,
    best: fc.boolean(),
  }),
  fc.record({
    type: fc.constant('event' as const),
    step: count,
    event: word,
    message: fc.string({ unit: 'grapheme' }),
  }),
);
