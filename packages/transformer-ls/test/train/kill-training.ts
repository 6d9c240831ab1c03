import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { TrainingConfig } from '@transformer-ls/formats';
import { expect } from 'vitest';
import type { FromWorker } from '../../src/cli/worker-messages.js';
import { syntheticBytes } from '../../src/data/synthetic.js';
import type { TrainingRequest } from '../../src/train/training.js';
import { scratchFolder } from '../data/scratch-folder.js';
import { smallConfig } from './small-run.js';
import { transpileProgram } from './transpiled-program.js';

const STEPS = 60;

/** What is trained, given a folder for its data. */
export type KilledRun = (scratch: string) => TrainingConfig | Promise<TrainingConfig>;

/** How such a run ends and saves. */
export const killedBudget = { maxSteps: STEPS, checkpointEverySteps: 2, evaluateEverySteps: 7 } as const;

const aLanguageModel: KilledRun = (scratch) => {
  const text = join(scratch, 'text.txt');
  writeFileSync(text, syntheticBytes('pattern', { bytes: 30_000, seed: 1, distance: 100 }));
  return smallConfig({ data: { name: 'text', path: text }, ...killedBudget }, { dropout: 0.1 });
};

/**
 * Trains once without a stop and once killed (SIGKILL) `kills` times at random moments, saving every second step; the last
 * checkpoints must be equal byte for byte.
 */
export async function killWhileTraining(kills: number, run = aLanguageModel): Promise<void> {
  const scratch = scratchFolder();
  const worker = join(transpileProgram(scratch), 'worker-train.js');
  const config = await run(scratch);
  const data = { folder: join(scratch, 'data'), searchFolders: [] };
  const begin = (folder: string): TrainingRequest => ({ kind: 'new', config, folder, data });
  const resume = (folder: string): TrainingRequest => ({ kind: 'resume', folder, data, overrides: {} });
  const [straight, killed] = [join(scratch, 'straight'), join(scratch, 'killed')];

  expect(await train(worker, begin(straight))).toBe('finished');
  await killSoon(worker, begin(killed));
  for (let kill = 1; kill < kills; kill++) await killSoon(worker, resume(killed));
  expect(await train(worker, resume(killed))).toBe('finished');

  const averaged = config.emaDecay === null ? [] : ['trained-weights'];
  for (const name of ['model', 'optimizer', 'memory', 'random', ...averaged]) {
    const last = (folder: string) =>
      readFileSync(join(folder, `checkpoints/step-${String(STEPS).padStart(8, '0')}/${name}.safetensors`));
    expect(Buffer.compare(last(straight), last(killed)), name).toBe(0);
  }
  expect(lossesOf(killed)).toEqual(lossesOf(straight));
}

/** Step and loss of every record, in the order of the file: no step may be missing or stand twice. */
function lossesOf(folder: string): [step: number, loss: number][] {
  return readFileSync(join(folder, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line): { type: string; step: number; loss: number } => JSON.parse(line))
    .filter(({ type }) => type === 'train')
    .map(({ step, loss }) => [step, loss]);
}

function start(worker: string, request: TrainingRequest): ChildProcess {
  const child = fork(worker, [], {
    serialization: 'advanced',
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  child.send({ type: 'begin', request });
  return child;
}

/** The last thing a worker says. */
async function train(worker: string, request: TrainingRequest): Promise<string | undefined> {
  const child = start(worker, request);
  let last: FromWorker | undefined;
  child.on('message', (message: FromWorker) => {
    last = message;
  });
  await new Promise((resolve) => child.once('close', resolve));
  return last?.type === 'failed' ? last.message : last?.type;
}

/** Kills a worker some time after its first step; it may just have finished. */
async function killSoon(worker: string, request: TrainingRequest): Promise<void> {
  const child = start(worker, request);
  const ended = new Promise((resolve) => child.once('close', resolve));
  const trains = new Promise<void>((resolve) => {
    child.on('message', (message: FromWorker) => {
      if (message.type === 'record') resolve();
    });
  });
  await Promise.race([trains, ended]);
  await wait(Math.random() * 150);
  child.kill('SIGKILL');
  await ended;
}
