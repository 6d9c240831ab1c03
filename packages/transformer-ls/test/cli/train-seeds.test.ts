import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Program, program } from './program.js';

/** A model and a set so small that a run takes a second. */
const tiny = [
  ['data.examples', 64],
  ['model.maxLength', 64],
  ['documentLength', 64],
  ['model.modelDim', 8],
  ['model.innerDim', 8],
  ['evaluateExamples', 20],
  ['evaluateEverySteps', 2],
].flatMap(([key, value]) => ['--set', `${key}=${value}`]);

describe('several seeds in one call', () => {
  let tls: Program;
  beforeAll(() => {
    tls = program();
  });
  afterAll(() => tls.remove());
  const train = (...more: string[]) =>
    tls.run(['train', 'lra/listops-cpu', ...tiny, '--steps', '4', '--batch', '4', ...more]);

  it('trains and tests each, says mean and spread, and passes over what is done when called again', async () => {
    const first = await train('--seeds', '1,2', '--out', 'runs/tiny');
    expect(first.code, first.error).toBe(0);
    expect(first.out).toMatch(
      /test accuracy of 2 runs:\n {2}seed 1 +[\d.]+ %\n {2}seed 2 +[\d.]+ %\n {2}mean +/,
    );
    const record = JSON.parse(readFileSync(join(tls.folder, 'runs/tiny/seeds.json'), 'utf8'));
    expect(record).toMatchObject({ kind: 'seeds', measure: 'test accuracy', count: 2 });
    const again = await train('--seeds', '1,2,3', '--out', 'runs/tiny');
    expect(again.code, again.error).toBe(0);
    expect(again.out.match(/this run is complete/g)).toHaveLength(2);
    expect(again.out.match(/evaluation\.json/g)).toHaveLength(1);
    const after = JSON.parse(readFileSync(join(tls.folder, 'runs/tiny/seeds.json'), 'utf8'));
    expect(after.count).toBe(3);
    expect(after.runs.slice(0, 2)).toEqual(record.runs);
  });

  it('lra report puts them into one row', async () => {
    const { code, out, error } = await tls.run(['lra', 'report', 'runs', '--out', 'report']);
    expect(code, error).toBe(0);
    expect(out).toMatch(/\| long-short \(window 8, rank 32\) \| [\d.]+ ± [\d.]+ \| 3 \|/);
    for (const name of ['lra.md', 'lra.json', 'lra-listops.svg'])
      expect(existsSync(join(tls.folder, 'report', name)), name).toBe(true);
  });

  it('refuses a folder that holds another run, and flags that contradict each other', async () => {
    const other = await train('--seeds', '1', '--out', 'runs/tiny', '--learning-rate', '0.5');
    expect(other.code).toBe(2);
    expect(other.error).toMatch(
      /^transformer-ls train: runs\/tiny\/seed-1 holds a run with another optimizer; /,
    );
    expect((await train('--seeds', '1,1')).error).toContain("Expected different seeds, received '1,1'");
    expect((await train('--seeds', '1', '--seed', '2')).error).toContain(
      'expected --seed or --seeds, received both',
    );
    expect((await tls.run(['lra', 'report', 'nowhere'])).error).toContain('found none in nowhere');
  });
});
