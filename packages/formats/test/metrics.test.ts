import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type EventRecord,
  formatMetricsLine,
  MetricsError,
  parseMetrics,
  parseMetricsLine,
  type TrainRecord,
} from '../src/index.js';
import { metricsRecords } from './metrics-records.js';

const train: TrainRecord = {
  type: 'train',
  step: 10,
  tokens: 5120,
  loss: 1.5,
  bpc: 2.16,
  accuracy: null,
  learningRate: 0.001,
  gradNorm: Number.NaN,
  tokensPerSecond: 900,
  seconds: 5.7,
  memoryBytes: 1048576,
};
const event: EventRecord = { type: 'event', step: 3, event: 'resume', message: 'NaN' };

describe('lines', () => {
  it('are written exactly so', () => {
    expect(formatMetricsLine(train)).toBe(
      '{"type":"train","step":10,"tokens":5120,"loss":1.5,"bpc":2.16,"learningRate":0.001,"gradNorm":"NaN",' +
        '"tokensPerSecond":900,"seconds":5.7,"memoryBytes":1048576}\n',
    );
  });

  it('come back as they went, NaN and infinities included', () => {
    fc.assert(
      fc.property(metricsRecords, (record) => {
        const line = formatMetricsLine(record);
        expect(line.indexOf('\n')).toBe(line.length - 1);
        expect(parseMetricsLine(line)).toEqual(record);
      }),
    );
  });

  it('keep a text that only looks like a number', () => {
    expect(parseMetricsLine(formatMetricsLine(event))).toEqual(event);
  });

  it.each([
    ['{"type":"trian"}', 'record.type: expected train, evaluation or event, received "trian"'],
    ['[]', 'record.type: expected train, evaluation or event, received nothing'],
    ['', 'expected a value, received the end of the text at character 0'],
    ['{"type":"event","type":"event"}', 'expected every key once, received "type" again at character 16'],
    [
      '{"type":"event","step":-1,"event":"stop","message":""}',
      'record.step: expected a whole number at least 0, received -1',
    ],
    [
      JSON.stringify({ ...train, loss: 'nan', gradNorm: null, los: 1 }),
      `record: unknown key "los", did you mean loss?; record.loss: expected a number, 'NaN', 'Infinity' or '-Infinity', received "nan"`,
    ],
  ])('%s', (line, message) => {
    expect(() => parseMetricsLine(line)).toThrow(new MetricsError(message));
  });
});

describe('files', () => {
  it('cut off anywhere keep every whole line and put the rest aside', () => {
    const content = formatMetricsLine(event) + formatMetricsLine(train);
    const secondStart = formatMetricsLine(event).length;
    for (let length = 0; length < content.length; length += 1) {
      const { records, truncated } = parseMetrics(content.slice(0, length));
      const whole = [event, train].slice(
        0,
        Number(length >= secondStart - 1) + Number(length >= content.length - 1),
      );
      const rest = content.slice(whole.length === 0 ? 0 : secondStart, length);
      expect(records).toEqual(whole);
      expect(truncated).toBe(whole.length === 2 || rest === '' ? null : rest);
    }
  });

  it('with a bad line elsewhere are refused with its number', () => {
    const content = `${formatMetricsLine(event)}{"type":"train"\n${formatMetricsLine(event)}`;
    expect(() => parseMetrics(content)).toThrow(
      'line 2: expected "," or "}", received the end of the text at character 15',
    );
    expect(() => parseMetrics(`${formatMetricsLine(event)}\n`)).toThrow(/^line 2: expected a value/);
  });
});
