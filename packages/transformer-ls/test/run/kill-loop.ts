import { fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { encodeSafetensors } from '@transformer-ls/formats';
import { expect } from 'vitest';
import { readNewestCheckpoint } from '../../src/run/checkpoint.js';
import { contentOfStep } from './content-of-step.mjs';
import { transpileRunSources } from './transpiled-sources.js';

const child = fileURLToPath(new URL('./save-until-killed.mjs', import.meta.url));

/**
 * Kills a saving process `kills` times at random moments. After each kill the newest checkpoint and the best one must
 * be at least those the process reported, and byte for byte what their step wrote. Returns how many saves were seen.
 */
export async function killWhileSaving(kills: number): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'kill-'));
  try {
    const sources = transpileRunSources(join(folder, 'sources'));
    const run = join(folder, 'run');
    const reported = { saved: 0, best: 0 };
    for (let kill = 0; kill < kills; kill++) {
      await saveAndKill(sources, run, reported);
      await checkNewest(join(run, 'checkpoints'), reported.saved);
      await checkNewest(join(run, 'best'), reported.best);
    }
    return reported.saved;
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function saveAndKill(
  sources: string,
  run: string,
  reported: { saved: number; best: number },
): Promise<void> {
  const saver = fork(child, [sources, run]);
  const ended = new Promise((resolve) => saver.once('exit', resolve));
  const started = new Promise((resolve) => saver.once('message', resolve));
  saver.on('message', (message) => {
    const [what, step] = String(message).split(' ');
    if (what === 'saved' || what === 'best') reported[what] = Number(step);
  });
  await Promise.race([started, ended]);
  expect(saver.exitCode).toBeNull();
  await wait(Math.random() * 100);
  saver.kill('SIGKILL');
  await ended;
}

async function checkNewest(folder: string, atLeast: number): Promise<void> {
  const { newest, skipped } = await readNewestCheckpoint(folder);
  expect(skipped).toEqual([]);
  expect(newest?.step ?? 0).toBeGreaterThanOrEqual(atLeast);
  if (newest === undefined) return;
  const content = contentOfStep(newest.step);
  expect(newest.state).toEqual(content.state);
  for (const [name, { tensors, metadata }] of content.files) {
    const expected = encodeSafetensors(tensors, metadata);
    expect(Buffer.compare(readFileSync(join(newest.path, name)), expected)).toBe(0);
  }
}
