import { fork, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { formatMetricsLine, type TrainRecord } from '@transformer-ls/formats';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { removeDeadLock, takeLock } from '../../src/run/lock.js';
import { createRun, readRunConfig, resumeRun } from '../../src/run/run-folder.js';
import { contentOfStep } from './content-of-step.mjs';
import { transpileRunSources } from './transpiled-sources.js';

let base = '';
let path = '';
const problems: string[] = [];
const options = { onProblem: (line: string) => problems.push(line) };

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'run-'));
  path = join(base, 'first');
  problems.length = 0;
});
afterEach(async () => {
  await rm(base, { recursive: true, force: true });
});

async function messageOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  throw new Error('no error came');
}

function train(step: number): TrainRecord {
  const rates = { learningRate: 0.001, gradNorm: 1, tokensPerSecond: 10, seconds: step, memoryBytes: 1 };
  return { type: 'train', step, tokens: step * 10, loss: 2, bpc: 3, accuracy: null, ...rates };
}

describe('a run', () => {
  it('continues from its newest checkpoint with the metrics cut back to it', async () => {
    const first = await createRun(path, { model: 'debug', seed: 1 }, options);
    for (const step of [1, 2]) first.log.append(train(step));
    await first.writeCheckpoint(contentOfStep(2));
    await first.writeBest(contentOfStep(1));
    first.log.append(train(3));
    await first.writeText('curve-bpc.svg', '<svg/>');
    await first.close();
    expect(
      readdirSync(path)
        .filter((name) => !name.startsWith('events.'))
        .sort(),
    ).toEqual(['best', 'checkpoints', 'config.json', 'curve-bpc.svg', 'metrics.jsonl']);

    const second = await resumeRun(path, options);
    expect(second.config).toEqual({ model: 'debug', seed: 1 });
    expect(second.newest?.step).toBe(2);
    expect(second.log.earlier).toEqual([train(1), train(2)]);
    second.log.append(train(3));
    await second.close();
    expect(readFileSync(join(path, 'metrics.jsonl'), 'utf8')).toBe(
      [1, 2, 3].map((n) => formatMetricsLine(train(n))).join(''),
    );
    expect(readdirSync(path).filter((name) => name.startsWith('events.'))).toHaveLength(1);
    expect(problems).toEqual([]);
  });

  it('begins again where it was stopped before its first checkpoint', async () => {
    const first = await createRun(path, {}, options);
    first.log.append(train(1));
    await first.close();
    const second = await resumeRun(path, options);
    expect(second.newest).toBeUndefined();
    expect(second.log.earlier).toEqual([]);
    await second.close();
  });

  it('is not started over another run, nor resumed where there is none', async () => {
    await (await createRun(path, {}, options)).close();
    expect(await messageOf(createRun(path, {}, options))).toBe(
      `${path} already holds a run (config.json): resume it or choose another folder`,
    );
    expect(await messageOf(resumeRun(join(base, 'frist'), options))).toBe(
      `${join(base, 'frist')}: no run here (config.json is missing); did you mean ${path}?`,
    );
    expect(existsSync(join(path, 'lock'))).toBe(false);
    expect(existsSync(join(base, 'frist'))).toBe(false);
  });

  it('falls back on the best checkpoint, and refuses to begin again over damaged ones', async () => {
    const run = await createRun(path, {}, options);
    const saved = await run.writeCheckpoint(contentOfStep(5));
    const best = await run.writeBest(contentOfStep(4));
    await run.close();
    writeFileSync(join(saved, 'state.json'), '{}');
    const resumed = await resumeRun(path, options);
    expect(resumed.newest?.path).toBe(best);
    expect(resumed.skipped.map(({ reason }) => reason.split(':')[0])).toEqual(['state.json']);
    await resumed.close();
    writeFileSync(join(best, 'manifest.json'), '');
    const message = await messageOf(resumeRun(path, options));
    expect(message).toMatch(
      /: none of its 2 checkpoints is whole \(step-00000005: state.json: .*; step-00000004: /,
    );
    expect(message).not.toContain('\n');
    expect(existsSync(join(path, 'lock'))).toBe(false);
  });

  it('clears unfinished work at the next start', async () => {
    await (await createRun(path, {}, options)).close();
    for (const folder of ['checkpoints', 'best'])
      mkdirSync(join(path, folder, '.tmp-step-00000001-1-ab'), { recursive: true });
    writeFileSync(join(path, '.tmp-metrics.jsonl-1-ab'), '');
    await (await resumeRun(path, options)).close();
    expect(readdirSync(join(path, 'checkpoints'))).toEqual([]);
    expect(readdirSync(join(path, 'best'))).toEqual([]);
    expect(readdirSync(path).filter((name) => name.startsWith('.tmp-'))).toEqual([]);
  });

  it('says in one line what is wrong with the folder or its configuration', async () => {
    writeFileSync(path, '');
    expect(await messageOf(createRun(path, {}, options))).toBe(
      `cannot open the run folder at ${path}: a file is where a folder is needed`,
    );
    expect(await messageOf(readRunConfig(path))).toBe(
      `cannot read the configuration at ${join(path, 'config.json')}: a file is where a folder is needed`,
    );
    mkdirSync(join(base, 'bad'));
    writeFileSync(join(base, 'bad', 'config.json'), '[1]');
    expect(await messageOf(readRunConfig(join(base, 'bad')))).toBe(
      `${join(base, 'bad', 'config.json')}: expected a JSON object`,
    );
    writeFileSync(join(base, 'bad', 'config.json'), '{"a":');
    expect(await messageOf(readRunConfig(join(base, 'bad')))).toMatch(
      /^cannot read the configuration at .*: .*JSON.*$/,
    );
  });
});

describe('the lock', () => {
  const holder = fileURLToPath(new URL('./hold-run.mjs', import.meta.url));

  /** Listens from the start: what a child says and its end may come before anyone asks for them. */
  function hold(sources: string) {
    const child = fork(holder, [sources, path]);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    const said = new Promise((resolve) => child.once('message', resolve));
    return { child, ended, said: Promise.race([said, ended]) };
  }

  it('lets one process have a run, tells the second who has it, and passes on when the first is killed', async () => {
    await (await createRun(path, {}, options)).close();
    const sources = transpileRunSources(join(base, 'sources'));
    const first = hold(sources);
    expect(await first.said).toBe('holding');
    const second = hold(sources);
    expect(await second.said).toMatch(
      new RegExp(
        `^${join(path, 'lock')}: process ${first.child.pid} has been using this run since \\d{4}-.*Z$`,
      ),
    );
    await second.ended;
    first.child.kill('SIGKILL');
    await first.ended;
    const third = hold(sources);
    expect(await third.said).toBe('holding');
    third.child.send('close');
    await third.ended;
    expect(existsSync(join(path, 'lock'))).toBe(false);
  });

  it('goes to exactly one of many processes that find it stale at once', async () => {
    await (await createRun(path, {}, options)).close();
    const sources = transpileRunSources(join(base, 'sources'));
    for (let round = 0; round < 3; round++) {
      writeFileSync(join(path, 'lock'), lockOf({ pid: await deadPid() }));
      const children = Array.from({ length: 6 }, () => hold(sources));
      const answers = await Promise.all(children.map(({ said }) => said));
      for (const { child } of children) child.kill('SIGKILL');
      await Promise.all(children.map(({ ended }) => ended));
      expect(answers.filter((answer) => answer === 'holding')).toHaveLength(1);
    }
  });

  const lockOf = (change: object) =>
    JSON.stringify({
      pid: process.pid,
      host: hostname(),
      started: '',
      since: '2026-01-02T03:04:05.000Z',
      ...change,
    });

  it.skipIf(!existsSync('/proc/self/stat'))(
    'is taken over where the number went to a later process (needs /proc)',
    async () => {
      const lock = join(base, 'lock');
      writeFileSync(lock, lockOf({ started: 'another boot:1' }));
      const taken = await takeLock(lock, new Date('2026-05-06T07:08:09Z'));
      expect(JSON.parse(readFileSync(lock, 'utf8'))).toEqual(taken.holder);
      expect(await messageOf(takeLock(lock))).toBe(
        `${lock}: process ${process.pid} has been using this run since 2026-05-06T07:08:09.000Z`,
      );
      await taken.release();
      await taken.release();
      expect(readdirSync(base)).toEqual([]);
    },
  );

  it('of another machine, or one that cannot be read, is left for the user to decide', async () => {
    const lock = join(base, 'lock');
    writeFileSync(lock, lockOf({ host: 'elsewhere', pid: 7 }));
    expect(await messageOf(takeLock(lock))).toBe(
      `${lock}: process 7 on elsewhere took this run at 2026-01-02T03:04:05.000Z; delete the file if that process is gone`,
    );
    for (const content of ['', 'null', '{"pid":-1}', lockOf({ pid: '7' })]) {
      writeFileSync(lock, content);
      expect(await messageOf(takeLock(lock))).toBe(
        `${lock}: not a lock file of this program; delete it if no training uses this folder`,
      );
    }
    expect(readdirSync(base)).toEqual(['lock']);
  });

  it('is waited for where its process is about to end, and that is said once', async () => {
    const lock = join(base, 'lock');
    const before = await takeLock(lock);
    const lines: string[] = [];
    let released: Promise<void> | undefined;
    const onWait = (line: string) => {
      lines.push(line);
      released = before.release();
    };
    const after = await takeLock(lock, new Date(), { seconds: 3600, onWait });
    await released;
    expect(lines).toEqual([
      expect.stringMatching(
        new RegExp(`^${lock}: process ${process.pid} has been using this run since .*Z$`),
      ),
    ]);
    expect(JSON.parse(readFileSync(lock, 'utf8'))).toEqual(after.holder);
  });

  it('of a dead process of this machine goes where many look at once; all others stay', async () => {
    const lock = join(base, 'lock');
    writeFileSync(lock, lockOf({ pid: await deadPid() }));
    await Promise.all(Array.from({ length: 8 }, () => removeDeadLock(lock)));
    expect(readdirSync(base)).toEqual([]);
    await removeDeadLock(lock);
    for (const content of [lockOf({}), lockOf({ host: 'elsewhere', pid: await deadPid() }), 'no lock']) {
      writeFileSync(lock, content);
      await removeDeadLock(lock);
      expect(readFileSync(lock, 'utf8')).toBe(content);
    }
  });

  it('is not given back by someone who has lost it', async () => {
    const lock = join(base, 'lock');
    const taken = await takeLock(lock);
    writeFileSync(lock, lockOf({ host: 'elsewhere' }));
    await taken.release();
    expect(existsSync(lock)).toBe(true);
  });
});

async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ['-e', '']);
  await new Promise((resolve) => child.once('exit', resolve));
  return child.pid!;
}
