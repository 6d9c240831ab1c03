import { renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunSummary } from '@transformer-ls/formats';
import { describe, expect, it } from 'vitest';
import { lraTable } from '../../src/dashboard/lra-rows.js';
import { RunCatalogue, type ShownRun } from '../../src/dashboard/run-catalogue.js';
import { runDetails } from '../../src/dashboard/run-details.js';
import { takeLock } from '../../src/run/lock.js';
import { createRun } from '../../src/run/run-folder.js';
import { recipe } from '../../src/train/recipes.js';
import { scratchFolder } from '../data/scratch-folder.js';
import { append, evaluated, linesOf, steps, textRecipe, trained, write, writeRun } from './small-runs.js';

const catalogueOf = (folder: string) => new RunCatalogue(folder, { freshMs: 0, restRatio: 0 });

async function summaries(folder: string): Promise<Record<string, RunSummary>> {
  const { list } = await catalogueOf(folder).snapshot();
  return Object.fromEntries(list.runs.map((run) => [run.id, run]));
}

async function oneRun(folder: string): Promise<ShownRun> {
  const { runs } = await catalogueOf(folder).snapshot();
  return [...runs.values()][0]!;
}

describe('runs below a folder', () => {
  it('are found to depth 3, with ids of their names; the folder itself may be one', async () => {
    const root = scratchFolder();
    for (const place of ['a', 'b/seed-1', 'b/c/seed-2', 'b/c/d/too-deep', '.hidden'])
      writeRun(join(root, place));
    expect(Object.keys(await summaries(root)).sort()).toEqual(['a', 'b/c/seed-2', 'b/seed-1']);
    expect(Object.keys(await summaries(join(root, 'a')))).toEqual(['a']);
    expect(await summaries(join(root, 'b/c/d/too-deep/none'))).toEqual({});
  });

  it('tell their step, their best and when they were written', async () => {
    const root = scratchFolder();
    const records = [...steps(1, 5), evaluated(5, 2.5, true), ...steps(6, 10), evaluated(10, 2.6, false)];
    writeRun(join(root, 'a'), records);
    const { a } = await summaries(root);
    expect(a).toMatchObject({
      id: 'a',
      recipe: 'text/small',
      model: 'language-model',
      step: 10,
      maxSteps: 100,
    });
    expect(a!.best).toEqual({ name: 'bpc', value: 2.5, step: 5 });
    expect(Date.now() - Date.parse(a!.updated)).toBeLessThan(60_000);
  });

  it('train while a living process holds the lock, are complete at the end of a budget, else stopped', async () => {
    const root = scratchFolder();
    for (const name of ['training', 'dead', 'stopped', 'elsewhere', 'odd'])
      writeRun(join(root, name), steps(1, 3));
    writeRun(join(root, 'steps'), steps(1, 100));
    writeRun(join(root, 'tokens'), steps(1, 5), { ...textRecipe, maxTokens: 50 });
    writeRun(join(root, 'seconds'), steps(1, 5), { ...textRecipe, maxSeconds: 5.5 });
    write(join(root, 'seconds', 'summary.json'), JSON.stringify({ end: 'complete', step: 5 }));
    writeRun(join(root, 'resumed'), steps(1, 6));
    write(join(root, 'resumed', 'summary.json'), JSON.stringify({ end: 'complete', step: 5 }));
    const lock = await takeLock(join(root, 'training', 'lock'));
    const holder = { pid: 2 ** 30, host: lock.holder.host, started: '', since: 'x' };
    write(join(root, 'dead', 'lock'), JSON.stringify(holder));
    write(join(root, 'elsewhere', 'lock'), JSON.stringify({ ...holder, host: 'another machine' }));
    write(join(root, 'odd', 'lock'), '{');
    const found = await summaries(root);
    expect(Object.fromEntries(Object.entries(found).map(([id, { state }]) => [id, state]))).toEqual({
      training: 'training',
      elsewhere: 'training',
      dead: 'stopped',
      stopped: 'stopped',
      odd: 'stopped',
      steps: 'complete',
      tokens: 'complete',
      seconds: 'complete',
      resumed: 'stopped',
    });
    expect(
      Object.values(found)
        .slice(0, 2)
        .map(({ state }) => state),
    ).toEqual(['training', 'training']);
    await lock.release();
    expect((await summaries(root)).training?.state).toBe('stopped');
  });

  it('are there before their first record', async () => {
    const root = scratchFolder();
    const run = await createRun(join(root, 'new'), { ...textRecipe } as never, {
      onProblem: () => undefined,
    });
    const { new: fresh } = await summaries(root);
    expect(fresh).toMatchObject({ step: 0, best: null, state: 'training' });
    await run.close();
  });

  it('are followed from one look to the next, also when a resumed run cuts its records back', async () => {
    const root = scratchFolder();
    const run = writeRun(join(root, 'a'), [...steps(1, 8), evaluated(8, 2, true)]);
    const catalogue = catalogueOf(root);
    const step = async () => (await catalogue.snapshot()).list.runs[0]?.step;
    const best = async () => (await catalogue.snapshot()).list.runs[0]?.best;
    expect(await step()).toBe(8);
    append(run, steps(9, 12));
    expect(await step()).toBe(12);
    writeFileSync(join(root, 'cut'), linesOf(steps(1, 6)));
    renameSync(join(root, 'cut'), join(run, 'metrics.jsonl'));
    expect(await step()).toBe(6);
    expect(await best()).toBeNull();
    append(run, [trained(7, { loss: Number.NaN })]);
    expect(await step()).toBe(7);
    rmSync(run, { recursive: true });
    expect((await catalogue.snapshot()).list.runs).toEqual([]);
  });
});

describe('broken and hostile folders', () => {
  it('are listed with the reason, in one line without paths, and hide nothing else', async () => {
    const root = scratchFolder();
    writeRun(join(root, 'good'));
    writeRun(join(root, 'config-no-json'));
    write(join(root, 'config-no-json', 'config.json'), '{"kind":');
    writeRun(join(root, 'config-unknown'), [], { ...textRecipe, evil: 1 });
    writeRun(join(root, 'config-missing'));
    rmSync(join(root, 'config-missing', 'config.json'));
    writeRun(join(root, 'config-huge'));
    write(join(root, 'config-huge', 'config.json'), ' '.repeat(2 ** 21));
    writeRun(join(root, 'config-deep'));
    write(join(root, 'config-deep', 'config.json'), '['.repeat(100_000));
    writeRun(join(root, 'config-bytes'));
    write(join(root, 'config-bytes', 'config.json'), new Uint8Array([0xff, 0xfe]));
    writeRun(join(root, 'metrics-folder'));
    rmSync(join(root, 'metrics-folder', 'metrics.jsonl'));
    write(join(root, 'metrics-folder', 'metrics.jsonl', 'file'), '');
    const { list } = await catalogueOf(root).snapshot();
    expect(list.runs.map(({ id }) => id)).toEqual(['good']);
    const reasons = Object.fromEntries(list.unreadable.map(({ id, reason }) => [id, reason]));
    expect(Object.keys(reasons).sort()).toEqual([
      'config-bytes',
      'config-deep',
      'config-huge',
      'config-missing',
      'config-no-json',
      'config-unknown',
      'metrics-folder',
    ]);
    expect(reasons['config-missing']).toBe('config.json: is missing');
    expect(reasons['config-unknown']).toContain('unknown key "evil"');
    for (const reason of Object.values(reasons)) {
      expect(reason).not.toContain(root);
      expect(reason).toMatch(/^[^\n]{5,301}$/);
    }
  });

  it('show the records that can be read, and say which cannot', async () => {
    const root = scratchFolder();
    const run = writeRun(join(root, 'a'), steps(1, 2));
    write(
      join(run, 'metrics.jsonl'),
      `${linesOf(steps(1, 2))}{"type":"evil"}\n\0\n${linesOf([trained(3)])}{"typ`,
    );
    const { list } = await catalogueOf(root).snapshot();
    expect(list.runs[0]?.step).toBe(3);
    expect(list.unreadable).toHaveLength(1);
    expect(list.unreadable[0]?.reason).toMatch(/^metrics.jsonl: line 3: .*\(and 1 other lines\); left out$/);
  });

  it('are not left by links', async () => {
    const outside = scratchFolder();
    writeRun(join(outside, 'secret'));
    const root = scratchFolder();
    writeRun(join(root, 'a'));
    symlinkSync(join(outside, 'secret'), join(root, 'out'));
    symlinkSync(join(root, 'a'), join(root, 'inside'));
    symlinkSync(root, join(root, 'loop'));
    symlinkSync(join(root, 'nothing'), join(root, 'dangling'));
    writeRun(join(root, 'config'));
    rmSync(join(root, 'config', 'config.json'));
    symlinkSync(join(outside, 'secret', 'config.json'), join(root, 'config', 'config.json'));
    writeRun(join(root, 'metrics'));
    rmSync(join(root, 'metrics', 'metrics.jsonl'));
    symlinkSync(join(outside, 'secret', 'metrics.jsonl'), join(root, 'metrics', 'metrics.jsonl'));
    const { list } = await catalogueOf(root).snapshot();
    expect(list.runs.map(({ id }) => id)).toEqual(['a']);
    expect(list.unreadable.map(({ id }) => id).sort()).toEqual(['config', 'metrics', 'out']);
  });

  it('of odd names are shown like others', async () => {
    const root = scratchFolder();
    const names = ['__proto__', 'a b', 'ä%2f', '<script>', '..x', "o'r\nd"];
    for (const name of names.slice(0, 4)) writeRun(join(root, name));
    writeRun(join(root, names[5]!));
    const { list, runs } = await catalogueOf(root).snapshot();
    expect(list.runs).toHaveLength(5);
    expect(runs.get('__proto__')?.summary.step).toBe(3);
    expect(runs.get('constructor')).toBeUndefined();
  });
});

describe('details of a run', () => {
  it('hold settings, checkpoints and evaluations, and the context curve of the newest', async () => {
    const root = scratchFolder();
    const run = await createRun(join(root, 'a'), { ...textRecipe } as never, { onProblem: () => undefined });
    const tensors = { x: { dtype: 'F32', shape: [250], data: new Uint8Array(1000) } } as const;
    const content = (step: number) => ({
      step,
      files: new Map([['model.safetensors', { tensors }]]),
      state: {},
    });
    await run.writeCheckpoint(content(2));
    await run.writeCheckpoint(content(4));
    await run.writeBest(content(2));
    await run.close();
    const context = (bpc: number) => [
      { contextLength: 1, bpc: 5 },
      { contextLength: 8, bpc },
    ];
    write(join(run.path, 'evaluation.json'), JSON.stringify({ date: '2026-01-01', context: context(4) }));
    write(
      join(run.path, 'evaluation-valid.json'),
      JSON.stringify({ date: '2026-02-01', context: context(3) }),
    );
    write(join(run.path, 'evaluation-bad.json'), '{');
    write(join(run.path, 'evaluation-list.json'), '[]');
    write(join(run.path, 'checkpoints', 'step-00000005', 'manifest.json'), '{}');
    const details = await runDetails(await oneRun(root));
    expect(details.config).toMatchObject({ kind: 'training', recipe: 'text/small', maxSteps: 100 });
    expect(details.checkpoints.map(({ kind, step }) => [kind, step])).toEqual([
      ['best', 2],
      ['checkpoint', 4],
      ['checkpoint', 2],
    ]);
    for (const { bytes } of details.checkpoints) expect(bytes).toBeGreaterThan(1000);
    expect(details.evaluations.map(({ name }) => name)).toEqual(['evaluation-valid.json', 'evaluation.json']);
    expect(details.context).toEqual([
      { length: 1, bpc: 5 },
      { length: 8, bpc: 3 },
    ]);
    expect(details.unreadable.map(({ name }) => name)).toEqual([
      'checkpoints, step 5',
      'evaluation-bad.json',
      'evaluation-list.json',
    ]);
  });

  it('do not follow links', async () => {
    const outside = scratchFolder();
    write(join(outside, 'evaluation.json'), '{"secret":1}');
    write(join(outside, 'step-00000001', 'manifest.json'), '{}');
    const root = scratchFolder();
    const run = writeRun(join(root, 'a'));
    symlinkSync(join(outside, 'evaluation.json'), join(run, 'evaluation.json'));
    symlinkSync(outside, join(run, 'checkpoints'));
    const details = await runDetails(await oneRun(root));
    expect(details.evaluations).toEqual([]);
    expect(details.unreadable.map(({ name }) => name)).toEqual(['checkpoints', 'evaluation.json']);
  });
});

describe('the table of Long Range Arena', () => {
  it('has a row for each experiment, its seeds together, beside what was published', async () => {
    const root = scratchFolder();
    const config = recipe('lra/text');
    const evaluation = (accuracy: number) => ({
      kind: 'classifier-evaluation',
      date: 'today',
      model: { path: 'x', step: 3, parameters: 1, mode: 'consistent', attention: 'long-short' },
      data: { name: 'imdb', reportAs: 'imdb', split: 'test', sha256: 'x', source: 'x', note: '' },
      examples: 10,
      accuracy,
      loss: 1,
      seconds: 1,
    });
    for (const [seed, accuracy] of [
      [1, 0.6],
      [2, 0.7],
    ] as const) {
      const run = writeRun(join(root, 'text', `seed-${seed}`), steps(1, 3), { ...config, seed });
      write(join(run, 'evaluation.json'), JSON.stringify(evaluation(accuracy)));
    }
    writeRun(join(root, 'listops'), steps(1, 2), recipe('lra/listops'));
    write(join(root, 'listops', 'evaluation.json'), '{');
    writeRun(join(root, 'language'));
    const { rows } = await lraTable((await catalogueOf(root).snapshot()).runs.values());
    expect(rows.map(({ set }) => set)).toEqual(['listops', 'imdb']);
    const [listops, text] = rows;
    expect(listops).toMatchObject({ testAccuracy: null, seeds: 1, steps: 2, published: 37.5 });
    expect(text).toMatchObject({ seeds: 2, steps: 3, published: 66.01, reportAs: ['imdb'] });
    expect(text!.testAccuracy!.mean).toBeCloseTo(65);
    expect(text!.testAccuracy!.spread).toBeCloseTo(Math.sqrt(50));
  });
});
