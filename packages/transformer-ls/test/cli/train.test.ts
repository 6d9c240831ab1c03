import { type ChildProcess, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { duration } from '../../src/cli/train.js';
import { trainingRequest } from '../../src/cli/train-request.js';
import { syntheticBytes } from '../../src/data/synthetic.js';
import { transpileProgram } from '../train/transpiled-program.js';
import { ended, untilItTrains } from './program.js';

describe('flags', () => {
  const configOf = (name: string, flags: object) => {
    const request = trainingRequest(name, { set: [], ...flags });
    if (request.kind !== 'new') throw new Error('expected a new run');
    return request;
  };

  it('change the recipe', () => {
    const flags = {
      batch: 3,
      segment: 64,
      learningRate: 0.5,
      seed: 9,
      threads: 1,
      precision: 'bfloat16',
      model: 'debug',
    };
    const { config } = configOf('embedded/quickstart', {
      ...flags,
      set: ['optimizer.beta2=0.5', 'clipNorm=null'],
    });
    expect(config).toMatchObject({
      batchSize: 3,
      segmentLength: 64,
      seed: 9,
      threads: 1,
      precision: 'bfloat16',
      clipNorm: null,
    });
    expect(config).toMatchObject({ optimizer: { learningRate: 0.5, beta2: 0.5 }, model: { modelDim: 64 } });
  });

  it.each([
    ['long-short', 'class-token-last-layer', []],
    ['window-only', 'class-token-last-layer', []],
    [
      'full',
      'mean',
      ['full attention takes no class token: pooling is mean instead of class-token-last-layer'],
    ],
    [
      'linformer',
      'mean',
      [
        'linformer attention takes no class token: pooling is mean instead of class-token-last-layer',
        'linformer attention: model.attention.projectionRank is 256, as published',
      ],
    ],
  ])('--attention %s pools by %s', (attention, pooling, said) => {
    const lines: string[] = [];
    const request = trainingRequest('lra/text', { set: [], attention }, (line) => lines.push(line));
    expect(request).toMatchObject({
      config: {
        model: {
          attention: { name: attention, windowSize: 8, projectionRank: attention === 'linformer' ? 256 : 32 },
          pooling,
        },
      },
      folder: `runs/lra-text-${attention}`,
    });
    expect(lines).toEqual(said);
  });

  it('--attention leaves a pooling alone that the user chose, and goes with --model', () => {
    const flags = { attention: 'full', model: 'lra-text', set: ['model.pooling=first-token'] };
    const lines: string[] = [];
    const request = trainingRequest('lra/text', flags, (line) => lines.push(line));
    expect(request).toMatchObject({
      config: { model: { attention: { name: 'full' }, pooling: 'first-token' } },
    });
    expect(lines).toEqual([]);
  });

  it('a one-cycle schedule keeps its shape in a shorter run, unless its warm-up is given too', () => {
    const warmUp = (name: string, flags: object) => configOf(name, flags).config.schedule.warmupSteps;
    expect(warmUp('lra/listops', { steps: 500 })).toBe(100);
    expect(warmUp('lra/listops', { steps: 500, set: ['schedule.warmupSteps=7'] })).toBe(7);
    expect(warmUp('embedded/debug', { steps: 20 })).toBe(10);
  });

  it('one limit takes the place of all limits of the recipe', () => {
    const limits = ({ config: { maxSteps, maxTokens, maxSeconds } }: ReturnType<typeof configOf>) => [
      maxSteps,
      maxTokens,
      maxSeconds,
    ];
    expect(limits(configOf('embedded/quickstart', { steps: 50 }))).toEqual([50, null, null]);
    expect(limits(configOf('embedded/debug', { maxTime: 60, maxTokens: 1000 }))).toEqual([null, 1000, 60]);
    expect(limits(configOf('embedded/debug', {}))).toEqual([200, null, null]);
  });

  it.each([
    ['embedded/debgu', {}, 'did you mean embedded/debug?'],
    ['embedded/debug', { model: 'tiny' }, 'there is no model "tiny"; expected one of enwik8-base'],
    ['embedded/debug', { set: ['optimizer.beta3=1'] }, 'did you mean optimizer.beta1?'],
    ['embedded/debug', { set: ['batchSize=0'] }, 'config.batchSize: expected a whole number at least 1'],
    [
      'embedded/debug',
      { batch: 2, set: ['batchSize=3'] },
      '--batch and --set batchSize=3 disagree about batchSize',
    ],
    ['embedded/debug', { steps: 5 }, 'schedule.warmupSteps: expected at most maxSteps 5, received 10'],
    ['embedded/debug', { set: ['maxSteps=null'] }, 'expected a limit in maxSteps, maxTokens or maxSeconds'],
    [
      'embedded/debug',
      { resume: 'runs/a' },
      'expected a recipe or --resume, received embedded/debug and --resume',
    ],
    [
      'lra/text',
      { attention: 'linfromer' },
      'there is no attention "linfromer"; did you mean linformer? expected one of long-short, projection-only, window-only, full,',
    ],
    [
      'embedded/debug',
      { attention: 'full' },
      '--attention is for classifiers such as lra/listops; embedded/debug trains a language model',
    ],
    [
      'lra/text',
      { attention: 'full', set: ['model.attention.name=linear'] },
      '--attention and --set model.attention.name=linear disagree about model.attention.name',
    ],
    [
      'lra/text',
      { attention: 'full', set: ['model.pooling=class-token'] },
      'pooling: expected mean for full attention, received class-token',
    ],
    [
      undefined,
      { resume: 'runs/a', attention: 'full' },
      '--attention cannot change in a run that is resumed; start a new run',
    ],
    [undefined, {}, 'expected a recipe, one of'],
    [undefined, { resume: 'runs/a', out: 'runs/b' }, 'expected --out or --resume, received both'],
  ])('%s %j', (name, flags, message) => {
    let error: unknown;
    try {
      trainingRequest(name, { set: [], ...flags });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ name: 'UsageError', message: expect.stringContaining(message) });
  });

  it.each([
    ['90', 90],
    ['90s', 90],
    ['15m', 900],
    ['1.5h', 5400],
    ['1d', 86_400],
  ])('%s is a time', (text, seconds) => {
    expect(duration(text)).toBe(seconds);
  });

  it.each(['', '0', '-5', '15 minutes', 'm', '1e3'])('%j is none', (text) => {
    expect(() => duration(text)).toThrow('Expected a time such as 90s, 15m or 2h, received');
  });
});

describe('the command', () => {
  let scratch: string;
  let main: string;

  beforeAll(() => {
    scratch = mkdtempSync(join(tmpdir(), 'tls train '));
    main = join(transpileProgram(join(scratch, 'program')), 'main.js');
    writeFileSync(
      join(scratch, 'text.txt'),
      syntheticBytes('pattern', { bytes: 60_000, seed: 1, distance: 100 }),
    );
  });
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  const small = [
    'text/small',
    '--from',
    'text.txt',
    '--model',
    'debug',
    '--batch',
    '2',
    '--segment',
    '64',
    '--set',
    'schedule.warmupSteps=2',
  ];
  const start = (args: readonly string[]): ChildProcess =>
    spawn(process.execPath, [main, 'train', ...args], { cwd: scratch });

  const run = (...args: string[]) => ended(start(args));

  it('trains, leaves pictures and results, is complete when asked again, and goes on with more', async () => {
    const first = await run(...small, '--out', 'first', '--steps', '6');
    expect(first).toMatchObject({ code: 0, error: '' });
    expect(first.out).toMatch(
      /done: 6 steps in .*best validation bpc \d\.\d+ at step 6; curves and results in first\n$/,
    );
    const files = readdirSync(join(scratch, 'first'));
    for (const name of [
      'config.json',
      'metrics.jsonl',
      'summary.json',
      'results.md',
      'curve-bpc-tokens.svg',
      'curve-loss-seconds.svg',
    ])
      expect(files).toContain(name);
    expect(files).not.toContain('lock');
    const summary: unknown = JSON.parse(readFileSync(join(scratch, 'first/summary.json'), 'utf8'));
    expect(summary).toMatchObject({
      end: 'complete',
      step: 6,
      tokens: 768,
      best: { step: 6 },
      corpus: { name: 'text' },
    });

    const again = await run('--resume', 'first');
    expect(again.code).toBe(0);
    expect(again.out).toContain(
      'this run is complete; to train on, give it more: npx transformer-ls train --resume first --steps <n>',
    );
    const more = await run('--resume', 'first', '--steps', '8', '--json');
    expect(more.code).toBe(0);
    const lines = more.out
      .trim()
      .split('\n')
      .map((line): { type: string; step: number } => JSON.parse(line));
    expect(lines.filter(({ type }) => type === 'train').map(({ step }) => step)).toEqual([7, 8]);
    expect(JSON.parse(readFileSync(join(scratch, 'first/config.json'), 'utf8'))).toMatchObject({
      maxSteps: 8,
    });
  });

  it('starts from the weights of another run, not from its step', async () => {
    const { code, out } = await run(
      ...small,
      '--out',
      'second',
      '--steps',
      '2',
      '--initial-weights',
      'first',
      '--json',
    );
    expect(code).toBe(0);
    const [step] = out.split('\n').map((line): { step: number; loss: number } => JSON.parse(line || '{}'));
    expect(step?.step).toBe(1);
    expect(step?.loss).toBeLessThan(5);
  });

  it('refuses to go on with a text that was changed', async () => {
    const text = readFileSync(join(scratch, 'text.txt'));
    writeFileSync(join(scratch, 'other.txt'), text);
    const flags = small.map((word) => (word === 'text.txt' ? 'other.txt' : word));
    expect((await run(...flags, '--out', 'changed', '--steps', '2')).code).toBe(0);
    writeFileSync(join(scratch, 'other.txt'), Buffer.concat([text, Buffer.from('more')]));
    const { code, error } = await run('--resume', 'changed', '--steps', '4');
    expect(error).toMatch(
      /^transformer-ls train: the training data have changed: the run was started with text, .* SHA-256 \w+\n$/,
    );
    expect(code).toBe(2);
  });

  it.each([
    ['--batch', '4'],
    ['--seed', '5'],
    ['--set', 'model.layers=3'],
    ['--set', 'optimizer.beta2=0.9'],
    ['--model', 'small'],
  ])('a resumed run cannot change %s %s', async (flag, value) => {
    const { code, error } = await run('--resume', 'first', flag, value);
    expect(error).toMatch(/cannot change in a run that is resumed; start a new run\n$/);
    expect(code).toBe(2);
  });

  it('one Ctrl-C saves, says how to go on and exits with 130; a second process is kept out meanwhile', async () => {
    const child = start([...small, '--out', 'stopped', '--max-time', '1h', '--json']);
    const result = ended(child);
    await untilItTrains(child);
    const second = await run('--resume', 'stopped');
    expect(second).toMatchObject({
      code: 2,
      error: expect.stringMatching(/process \d+ has been using this run since/),
    });
    child.kill('SIGINT');
    const { code, out } = await result;
    expect(code).toBe(130);
    expect(out).toMatch(
      /stopped, saved step [\d,]+; continue with: npx transformer-ls train --resume stopped --json/,
    );
    expect(existsSync(join(scratch, 'stopped/lock'))).toBe(false);
    expect((await run('--resume', 'stopped', '--max-time', '1s')).code).toBe(0);
  });

  it('when its parent is killed the training saves and ends', async () => {
    const child = start([...small, '--out', 'orphan', '--max-time', '1h', '--json']);
    const result = ended(child);
    await untilItTrains(child);
    child.kill('SIGKILL');
    await result;
    while (existsSync(join(scratch, 'orphan/lock'))) await wait(50);
    expect(readdirSync(join(scratch, 'orphan/checkpoints'))).toHaveLength(1);
    expect(existsSync(join(scratch, 'orphan/lock'))).toBe(false);
  });

  it('when the training process is killed there is one line with what is left', async () => {
    const child = start([...small, '--out', 'killed', '--max-time', '1h', '--json']);
    const result = ended(child);
    await untilItTrains(child);
    const { pid } = JSON.parse(readFileSync(join(scratch, 'killed/lock'), 'utf8')) as { pid: number };
    expect(pid).not.toBe(child.pid);
    process.kill(pid, 'SIGKILL');
    const { code, error } = await result;
    expect(code).toBe(1);
    expect(error).toBe(
      'transformer-ls train: the training process was ended by SIGKILL (the system does this when memory runs out); ' +
        'there is no checkpoint of this session; continue with: npx transformer-ls train --resume killed --json\n',
    );
  });

  it.each([
    ['a recipe that does not exist', ['text/smal'], 'did you mean text/small?'],
    ['a corpus that does not exist', [...small, '--data', 'enwik9'], "did you mean 'enwik8'?"],
    [
      'data that are not there',
      [...small, '--data', 'enwik8', '--from', 'nothing.gz'],
      'nothing.gz: no such file',
    ],
    ['text without --from', ['text/small'], 'text: pass --from <file or folder of text>'],
    [
      'a run that is there already',
      [...small, '--out', 'taken'],
      'taken already holds a run (config.json): resume it or choose another folder',
    ],
    ['no run to resume', ['--resume', 'take'], 'did you mean taken?'],
    ['float16 on the CPU', [...small, '--precision', 'float16'], 'float16 needs a GPU'],
    [
      'a number that is none',
      [...small, '--batch', 'two'],
      "Expected a whole number at least 1, received 'two'",
    ],
    ['a flag that does not exist', [...small, '--bacth', '2'], 'Did you mean --batch?'],
    [
      'weights that are not there',
      [...small, '--initial-weights', 'nowhere'],
      'initialWeights: nowhere: no such file or folder',
    ],
    [
      'a vocabulary that does not fit',
      [...small, '--set', 'model.vocabularySize=300'],
      'add --set model.vocabularySize=256',
    ],
    ['a text too short for the lanes', [...small, '--batch', '2000'], 'lower batchSize or segmentLength'],
  ])('%s: one line, exit code 2, nothing written', async (_, args, message) => {
    const taken = join(scratch, 'taken');
    mkdirSync(taken, { recursive: true });
    writeFileSync(join(taken, 'config.json'), '{}');
    const { code, error } = await run(...args);
    expect(error).toContain(message);
    expect(error.trim().split('\n')).toHaveLength(1);
    expect(code).toBe(2);
    expect(existsSync(join(scratch, 'runs'))).toBe(false);
  });
});
