import { describe, expect, it } from 'vitest';
import { type SyntheticKind, syntheticBytes, syntheticCorpus } from '../../src/data/index.js';

const kinds: SyntheticKind[] = ['copy', 'pattern', 'brackets'];

describe('synthetic corpora', () => {
  it.each(kinds)('%s: the same seed gives the same bytes, another seed others', (kind) => {
    const options = { bytes: 5000, seed: 3, distance: 50 };
    expect(syntheticBytes(kind, options)).toEqual(syntheticBytes(kind, options));
    expect(syntheticBytes(kind, options)).not.toEqual(syntheticBytes(kind, { ...options, seed: 4 }));
    expect(syntheticBytes(kind, { ...options, bytes: 777 })).toEqual(
      syntheticBytes(kind, options).slice(0, 777),
    );
  });

  it('copy: the letters come again after the distance, and lines differ', () => {
    const lines = Buffer.from(syntheticBytes('copy', { bytes: 20 * 109, seed: 1, distance: 100 }))
      .toString()
      .trimEnd()
      .split('\n');
    expect(lines).toHaveLength(20);
    expect(new Set(lines).size).toBe(20);
    for (const line of lines) expect(line).toMatch(/^([a-z]{8})\.{92}\1$/);
  });

  it('pattern: repeats after the distance', () => {
    const bytes = syntheticBytes('pattern', { bytes: 1000, seed: 1, distance: 37 });
    expect(bytes.slice(37)).toEqual(bytes.slice(0, -37));
  });

  it('brackets: nest properly and not too deep', () => {
    const text = Buffer.from(syntheticBytes('brackets', { bytes: 5000, seed: 1, distance: 6 })).toString();
    const open: string[] = [];
    let deepest = 0;
    for (const bracket of text) {
      if ('([{'.includes(bracket)) open.push(bracket);
      else expect(`${open.pop()}${bracket}`).toMatch(/^(\(\)|\[\]|\{\})$/);
      deepest = Math.max(deepest, open.length);
    }
    expect(deepest).toBe(6);
  });

  it('splits are corpora with texts of their own', () => {
    const options = { bytes: 1000, seed: 1 };
    const [train, valid] = [
      syntheticCorpus('copy', 'train', options),
      syntheticCorpus('copy', 'valid', options),
    ];
    expect([train.name, train.split, train.length]).toEqual(['synthetic-copy', 'train', 1000]);
    expect(train.read(0, 1000)).not.toEqual(valid.read(0, 1000));
  });

  it('refuses sizes that make no sense', () => {
    expect(() => syntheticBytes('copy', { bytes: 100, seed: 1, distance: 7 })).toThrow(
      'synthetic copy: distance must be at least 8, found 7',
    );
    expect(() => syntheticBytes('pattern', { bytes: 0, seed: 1 })).toThrow(
      'bytes must be a positive whole number, found 0',
    );
  });
});
