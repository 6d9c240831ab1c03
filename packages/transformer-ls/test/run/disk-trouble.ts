// Saving on a disk that fails in any way: what the quick and the long test share.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeSafetensors } from '@transformer-ls/formats';
import { expect } from 'vitest';
import {
  readNewestCheckpoint,
  removeUnfinishedCheckpoints,
  writeCheckpoint,
} from '../../src/run/checkpoint.js';
import { contentOfStep } from './content-of-step.mjs';
import { faultyFileSystem, type Operation } from './faulty-file-system.js';

type Random = (below: number) => number;

/** Repeatable (mulberry32). */
export function randomNumbers(seed: number): Random {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Byte for byte what the step wrote. */
async function expectWhole(folder: string, atLeast: number): Promise<void> {
  const { newest } = await readNewestCheckpoint(folder);
  expect(newest?.step ?? 0).toBeGreaterThanOrEqual(atLeast);
  if (newest === undefined) return;
  const content = contentOfStep(newest.step);
  expect(newest.state).toEqual(content.state);
  for (const [name, { tensors, metadata }] of content.files)
    expect(Buffer.compare(readFileSync(join(newest.path, name)), encodeSafetensors(tensors, metadata))).toBe(
      0,
    );
}

const CODES = ['EIO', 'ENOSPC', 'EDQUOT', 'EROFS', 'EACCES', 'EMFILE'];

/** How a disk fails: once, from some moment on, or for one kind of operation. */
function trouble(random: Random): (operation: Operation, index: number) => string | undefined {
  const code = CODES[random(CODES.length)]!;
  const at = random(60);
  const kinds: Operation[] = ['makeFolder', 'create', 'write', 'sync', 'rename', 'remove', 'syncFolder'];
  const kind = kinds[random(kinds.length)]!;
  const how = random(3);
  return (operation, index) => {
    const fails = [index === at, index >= at, operation === kind && index >= at][how];
    return fails ? code : undefined;
  };
}

/** Saves `saves` times on disks that fail; after each, what was saved last is there, whole. Returns how many failed. */
export async function saveOnFailingDisks(saves: number, seed: number): Promise<number> {
  const random = randomNumbers(seed);
  const folder = await mkdtemp(join(tmpdir(), 'trouble-'));
  let [saved, failed] = [0, 0];
  try {
    for (let step = 1; step <= saves; step++) {
      const fileSystem = faultyFileSystem(random(4) === 0 ? () => undefined : trouble(random));
      const error = await writeCheckpoint(folder, contentOfStep(step), { fileSystem }).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      if (error === undefined) saved = step;
      else {
        failed++;
        expect(String(error)).toMatch(/^RunFolderError: [^\n]+$/);
      }
      await expectWhole(folder, saved);
      // As the next start does.
      if (random(8) === 0) await removeUnfinishedCheckpoints(folder);
    }
    await removeUnfinishedCheckpoints(folder);
    await writeCheckpoint(folder, contentOfStep(saves + 1));
    expect(readdirSync(folder)).toHaveLength(2);
  } finally {
    await rm(folder, { recursive: true });
  }
  return failed;
}

/** Flips `bits` bits one after the other in the newest checkpoint: it is passed over, and the one before is taken, whole. */
export async function flipBits(bits: number, seed: number): Promise<void> {
  const random = randomNumbers(seed);
  const folder = await mkdtemp(join(tmpdir(), 'bits-'));
  try {
    await writeCheckpoint(folder, contentOfStep(1));
    const path = await writeCheckpoint(folder, contentOfStep(2));
    const names = readdirSync(path);
    for (let flip = 0; flip < bits; flip++) {
      const place = join(path, names[random(names.length)]!);
      const bytes = readFileSync(place);
      bytes[random(bytes.length)]! ^= 1 << random(8);
      const good = readFileSync(place);
      writeFileSync(place, bytes);
      expect((await readNewestCheckpoint(folder)).newest?.step).toBe(1);
      writeFileSync(place, good);
    }
    await expectWhole(folder, 2);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Somebody else's file, as much of it as there is room for. */
function takeSpace(path: string, bytes: number): void {
  try {
    writeFileSync(path, new Uint8Array(bytes));
  } catch (error) {
    expect(String(error)).toContain('ENOSPC');
  }
}

/** Saves on disks of `kilobytes` until they are full, and beyond. */
export async function fillDisk(kilobytes: number): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'full-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${kilobytes}k`, 'tmpfs', folder]);
  try {
    let saved = 0;
    for (let step = 1; step <= 6; step++) {
      takeSpace(join(folder, 'other'), Math.min(step * 12, 60) * 1024);
      const error = await writeCheckpoint(folder, contentOfStep(step)).catch((reason: unknown) => reason);
      if (typeof error === 'string') saved = step;
      else expect(String(error)).toMatch(/: the disk is full \(.* free\)$/);
      await expectWhole(folder, saved);
      expect(readdirSync(folder).filter((name) => name.startsWith('.tmp-'))).toEqual([]);
    }
  } finally {
    execFileSync('umount', [folder]);
    rmSync(folder, { recursive: true });
  }
}

/** Whether this process may mount a small disk. */
export function canMount(): boolean {
  if (process.getuid?.() !== 0) return false;
  const place = join(tmpdir(), `mount-trial-${process.pid}`);
  mkdirSync(place);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', place], { stdio: 'ignore' });
    execFileSync('umount', [place], { stdio: 'ignore' });
    return statSync(place).isDirectory();
  } catch {
    return false;
  } finally {
    execFileSync('rmdir', [place]);
  }
}
