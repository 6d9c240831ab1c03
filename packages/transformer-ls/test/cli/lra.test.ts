import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkXml } from '../charts/check-svg.js';
import { trainSmallRun, writeSmallSet } from '../lra/small-runs.js';
import { ended, type Program, program } from './program.js';

let tls: Program;
const inside = (name: string) => join(tls.folder, name);

beforeAll(async () => {
  tls = program();
  const data = inside('data');
  for (const name of ['listops', 'aan'] as const) (await writeSmallSet(data, name)).close();
  await trainSmallRun(inside('ls'), data, 'listops', { attention: 'long-short' });
  await trainSmallRun(inside('linformer'), data, 'listops', { attention: 'linformer', mode: 'reference' });
  writeFileSync(inside('file'), '');
  await trainSmallRun(inside('pairs'), data, 'aan', { attention: 'window-only' });
});
afterAll(() => tls.remove());

describe('lra', () => {
  it('without a command prints its help', async () => {
    const { code, out, error } = await tls.run(['lra']);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(error).toContain('Usage: transformer-ls lra');
    expect(error).toContain('robustness');
    expect((await tls.run(['lra', '--help'])).code).toBe(0);
  });

  it.each([
    [['lra', 'robutsness'], "transformer-ls lra: unknown command 'robutsness' (Did you mean robustness?)"],
    [['lra', 'robustness'], "transformer-ls lra robustness: missing required argument 'runs'"],
  ])('%j is answered in one line', async (args, message) => {
    expect(await tls.run(args)).toEqual({ code: 2, out: '', error: `${message}\n` });
  });
});

describe('lra robustness', () => {
  const small = ['lra', 'robustness', '--threads', '1', '--examples', '20', '--strengths', '0.5, 0,0.5'];

  it('compares runs, in tables on the screen and in the three files', async () => {
    const { code, out, error } = await tls.run([...small, 'ls', 'linformer', '--out', 'out']);
    expect(error).toBe('reading 20 examples of listops test 3 times with each of 2 run(s)\n');
    expect(code).toBe(0);
    expect(out).toContain('| share of tokens | long-short | linformer |');
    expect(out).toContain('wrote robustness.json, robustness.md, robustness.svg in out\n');
    const record = JSON.parse(readFileSync(inside('out/robustness.json'), 'utf8'));
    expect(record).toMatchObject({
      data: { name: 'listops', split: 'test', examples: 20, classes: 10, note: 'A set of a test.' },
      kinds: ['insert', 'delete'],
      strengths: [0.5, 0],
      insertedTokens: 14,
      runs: [
        { model: { path: 'ls', attention: 'long-short', step: 2 } },
        { model: { path: 'linformer', attention: 'linformer', mode: 'reference' } },
      ],
    });
    for (const { points } of record.runs)
      for (const { accuracy, loss, examples } of points) {
        expect(accuracy * 20).toBeCloseTo(Math.round(accuracy * 20), 9);
        expect(loss).toBeGreaterThan(0);
        expect(examples).toBe(20);
      }
    checkXml(readFileSync(inside('out/robustness.svg'), 'utf8'));
    expect(readFileSync(inside('out/robustness.md'), 'utf8')).toContain('## Runs');
  });

  it('measures at strength 0 what evaluate measures, and repeats itself with the seed', async () => {
    const all = ['lra', 'robustness', 'ls', '--json', '--threads', '1', '--strengths', '0,0.3', '--seed'];
    const [one, again, other] = [
      await tls.run([...all, '4']),
      await tls.run([...all, '4']),
      await tls.run([...all, '5']),
    ].map(({ out, error }) => {
      expect(error).toBe('');
      return JSON.parse(out).runs[0].points as { strength: number; accuracy: number; loss: number }[];
    });
    expect(again).toEqual(one);
    expect(other).not.toEqual(one);
    const evaluated = JSON.parse((await tls.run(['evaluate', 'ls', '--json', '--threads', '1'])).out);
    expect(one![0]).toMatchObject({ strength: 0, accuracy: evaluated.accuracy });
    expect(one![0]!.loss).toBeCloseTo(evaluated.loss, 5);
  });

  it('reads pairs, and writes into the run where no folder is named', async () => {
    const { code } = await tls.run([...small, 'pairs', '--kinds', 'delete']);
    expect(code).toBe(0);
    const record = JSON.parse(readFileSync(inside('pairs/robustness.json'), 'utf8'));
    expect(record.runs[0].points.map(({ kind }: { kind: string }) => kind)).toEqual(['delete', 'delete']);
  });

  it('stops at Ctrl-C and writes nothing', async () => {
    const strengths = Array.from({ length: 500 }, (_, i) => i / 500).join();
    const child = tls.start(['lra', 'robustness', 'ls', '--strengths', strengths, '--out', 'stopped']);
    child.stderr!.once('data', () => child.kill('SIGINT'));
    const { code, out, error } = await ended(child);
    expect({ code, out }).toEqual({ code: 130, out: '' });
    expect(error).toMatch(/\ntransformer-ls lra robustness: interrupted; nothing was written\n$/);
    expect(existsSync(inside('stopped/robustness.json'))).toBe(false);
  });

  it.concurrent.each([
    [['ls', 'pairs'], 2, 'expected runs of the same set, received ls of listops and pairs of aan'],
    [['lss'], 1, 'lss: no such file or folder; did you mean ls?'],
    [['ls', '--strengths', '0,1.5'], 2, "Expected a number at least 0 and at most 1, received '1.5'."],
    [['ls', '--strengths', ''], 2, "Expected a number at least 0 and at most 1, received ''."],
    [['ls', '--kinds', 'swap'], 2, "Expected one of insert, delete, received 'swap'."],
    [['ls', '--split', 'all'], 2, 'Allowed choices are train, valid, test.'],
    [['ls', '--data-folder', 'nowhere/at/file'], 1, 'cannot create'],
    [['ls', '--out', 'file'], 1, 'cannot create file: '],
  ])('%j is answered in one line', async (args, code, message) => {
    const place = args.map((word) => word.replace('nowhere/at', inside('file')));
    const { out, error, code: found } = await tls.run(['lra', 'robustness', ...place]);
    expect(error).toContain(message);
    expect(error.trimEnd()).not.toContain('\n');
    expect(error).not.toContain('unexpected');
    expect({ code: found, out }).toEqual({ code, out: '' });
  });
});
