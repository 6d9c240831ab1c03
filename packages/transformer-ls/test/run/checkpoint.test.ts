import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { openSafetensors } from '@transformer-ls/formats';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  listCheckpoints,
  readNewestCheckpoint,
  removeUnfinishedCheckpoints,
  verifyCheckpoint,
  writeCheckpoint,
} from '../../src/run/checkpoint.js';
import { fileSource } from '../../src/run/file-source.js';
import { contentOfStep } from './content-of-step.mjs';
import { canMount } from './disk-trouble.js';
import { faultyFileSystem } from './faulty-file-system.js';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'checkpoint-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function names(): Promise<string[]> {
  return (await listCheckpoints(folder)).map((place) => basename(place.path));
}

async function messageOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  throw new Error('no error came');
}

describe('writing and reading', () => {
  it('gives back the state and the tensors of the newest step', async () => {
    await writeCheckpoint(folder, contentOfStep(7));
    await writeCheckpoint(folder, contentOfStep(12));
    const { newest, skipped } = await readNewestCheckpoint(folder);
    expect(skipped).toEqual([]);
    expect(newest?.path).toBe(join(folder, 'step-00000012'));
    expect(newest?.state).toEqual(contentOfStep(12).state);
    expect(newest?.files).toEqual(['memory.safetensors', 'model.safetensors', 'optimizer.safetensors']);
    const source = await fileSource(join(newest!.path, 'model.safetensors'));
    const opened = await openSafetensors(source);
    expect(opened.metadata).toEqual({ step: '12' });
    expect((await opened.read('layer.bias')).data.byteLength).toBe(30_000);
    await source.close();
  });

  it('finds nothing where nothing was written', async () => {
    expect(await readNewestCheckpoint(join(folder, 'absent'))).toEqual({ newest: undefined, skipped: [] });
  });

  it('keeps the newest two, or as many as asked', async () => {
    for (const step of [1, 2, 3]) await writeCheckpoint(folder, contentOfStep(step));
    expect(await names()).toEqual(['step-00000003', 'step-00000002']);
    await writeCheckpoint(folder, contentOfStep(4), { keep: 3 });
    expect(await names()).toEqual(['step-00000004', 'step-00000003', 'step-00000002']);
    await writeCheckpoint(folder, contentOfStep(5), { keep: 1 });
    expect(await names()).toEqual(['step-00000005']);
  });

  it('does not count a damaged checkpoint as one of those kept', async () => {
    for (const step of [1, 2]) await writeCheckpoint(folder, contentOfStep(step));
    writeFileSync(join(folder, 'step-00000002', 'model.safetensors'), 'damaged');
    await writeCheckpoint(folder, contentOfStep(3));
    expect(await names()).toEqual(['step-00000003', 'step-00000001']);
  });

  it('writes a step again without a moment in which it is missing, and drops a future that was given up', async () => {
    for (const step of [1, 2, 3]) await writeCheckpoint(folder, contentOfStep(step), { keep: 9 });
    await writeCheckpoint(folder, contentOfStep(2), { keep: 9 });
    expect(await names()).toEqual(['step-00000002-2', 'step-00000001']);
    expect((await readNewestCheckpoint(folder)).newest?.step).toBe(2);
  });

  it('deletes unfinished folders of stopped processes and nothing else', async () => {
    await writeCheckpoint(folder, contentOfStep(1));
    mkdirSync(join(folder, '.tmp-step-00000002-99-abcd'));
    mkdirSync(join(folder, 'notes'));
    expect(await removeUnfinishedCheckpoints(folder)).toEqual(['.tmp-step-00000002-99-abcd']);
    expect(readdirSync(folder).sort()).toEqual(['notes', 'step-00000001']);
  });

  it('refuses content that would not come back as it was', async () => {
    const good = contentOfStep(1);
    const refused = (change: object) => messageOf(writeCheckpoint(folder, { ...good, ...change }));
    expect(await refused({ state: { best: { bpc: Number.POSITIVE_INFINITY } } })).toBe(
      'JSON cannot hold Infinity at best.bpc',
    );
    expect(await refused({ step: -1 })).toBe('step must be a whole number from 0 to 10^15 - 1, got -1');
    expect(await refused({ files: new Map([['../model', { tensors: {} }]]) })).toBe(
      '"../model" is not a plain lower-case file name',
    );
    expect(await messageOf(writeCheckpoint(folder, good, { keep: 0 }))).toBe(
      'keep must be at least 1, got 0',
    );
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('damage', () => {
  const FILES = [
    'model.safetensors',
    'optimizer.safetensors',
    'memory.safetensors',
    'state.json',
    'manifest.json',
  ];

  it('is found for any flipped bit and any cut of any file, and the older checkpoint is taken', async () => {
    await writeCheckpoint(folder, contentOfStep(1));
    const path = await writeCheckpoint(folder, contentOfStep(2));
    const originals = new Map(FILES.map((name) => [name, readFileSync(join(path, name))]));
    const damages = fc.record({
      name: fc.constantFrom(...FILES),
      place: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      bit: fc.option(fc.nat(7)),
    });
    await fc.assert(
      fc.asyncProperty(damages, async ({ name, place, bit }) => {
        const bytes = Buffer.from(originals.get(name)!);
        const offset = Math.floor(place * bytes.length);
        if (bit === null) writeFileSync(join(path, name), bytes.subarray(0, offset));
        else {
          bytes[offset]! ^= 1 << bit;
          writeFileSync(join(path, name), bytes);
        }
        const { newest, skipped } = await readNewestCheckpoint(folder);
        writeFileSync(join(path, name), originals.get(name)!);
        expect(newest?.step).toBe(1);
        expect(skipped).toHaveLength(1);
        // A hash that changed in the manifest is told of the file that it is of.
        if (name !== 'manifest.json') expect(skipped[0]?.reason).toContain(`${name}: `);
        expect(skipped[0]?.reason).not.toContain('\n');
      }),
      { numRuns: 300 },
    );
    expect((await readNewestCheckpoint(folder)).newest?.step).toBe(2);
  });

  it('is found for every single bit of the manifest', async () => {
    const path = join(await writeCheckpoint(folder, contentOfStep(2)), 'manifest.json');
    const original = readFileSync(path);
    const unseen: string[] = [];
    for (let bit = 0; bit < original.length * 8; bit++) {
      const bytes = Buffer.from(original);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      writeFileSync(path, bytes);
      if ((await readNewestCheckpoint(folder)).newest !== undefined) unseen.push(`bit ${bit}`);
    }
    expect(unseen).toEqual([]);
  });

  it('says which file is missing, shorter or changed', async () => {
    const path = await writeCheckpoint(folder, contentOfStep(1));
    truncateSync(join(path, 'model.safetensors'), 100);
    expect(await messageOf(verifyCheckpoint(path))).toMatch(
      /^model.safetensors: 60\d\d\d bytes were written, 100 are there$/,
    );
    await rm(join(path, 'memory.safetensors'));
    expect(await messageOf(verifyCheckpoint(path))).toBe('memory.safetensors: it is missing');
    await rm(join(path, 'manifest.json'));
    expect(await messageOf(verifyCheckpoint(path))).toBe('manifest.json: it is missing');
  });

  it('refuses a manifest that reaches out of the folder', async () => {
    const path = await writeCheckpoint(folder, contentOfStep(1));
    const manifest = readFileSync(join(path, 'manifest.json'), 'utf8');
    writeFileSync(join(path, 'manifest.json'), manifest.replace('"model.safetensors"', '"../../secret"'));
    expect(await messageOf(verifyCheckpoint(path))).toBe(
      'manifest.json: "../../secret" is not a plain lower-case file name',
    );
  });
});

describe('failing disks', () => {
  it('keeps a good checkpoint whichever single operation fails, and the next save works', async () => {
    await writeCheckpoint(folder, contentOfStep(1));
    await writeCheckpoint(folder, contentOfStep(2));
    const counted = faultyFileSystem(() => undefined);
    await writeCheckpoint(folder, contentOfStep(3), { fileSystem: counted });
    const total = counted.operations.length;
    expect(new Set(counted.operations)).toEqual(
      new Set(['makeFolder', 'create', 'write', 'sync', 'rename', 'remove', 'syncFolder']),
    );
    for (let failing = 0; failing < total; failing++) {
      const step = 4 + failing;
      const fileSystem = faultyFileSystem((_, index) => (index === failing ? 'EIO' : undefined));
      const message = await messageOf(writeCheckpoint(folder, contentOfStep(step), { fileSystem }));
      expect(message).toBe(
        `cannot write the checkpoint of step ${step} at ${folder}: the disk reports an input/output error`,
      );
      const places = await listCheckpoints(folder);
      expect(places.length).toBeGreaterThanOrEqual(2);
      for (const { path } of places) await verifyCheckpoint(path);
      await removeUnfinishedCheckpoints(folder);
    }
    await writeCheckpoint(folder, contentOfStep(1000));
    expect(await names()).toHaveLength(2);
  });

  it('deletes older checkpoints only after the new one is durable', async () => {
    await writeCheckpoint(folder, contentOfStep(1), { keep: 1 });
    const seen: string[] = [];
    const fileSystem = faultyFileSystem((operation, _, path) => {
      seen.push(`${operation} ${basename(path)}`);
      return undefined;
    });
    await writeCheckpoint(folder, contentOfStep(2), { keep: 1, fileSystem });
    const renamed = seen.indexOf('rename step-00000002');
    expect(seen.lastIndexOf('sync manifest.json')).toBeLessThan(renamed);
    expect(seen[renamed + 1]).toBe(`syncFolder ${basename(folder)}`);
    expect(seen.findIndex((one) => one.startsWith('remove'))).toBeGreaterThan(renamed + 1);
  });

  it.each([
    ['ENOSPC', /the disk is full \(.* free\)$/],
    ['EROFS', /the disk is mounted read-only$/],
    ['EACCES', /permission denied for user /],
    ['EDQUOT', /your disk quota is used up$/],
  ])('says %s in one line and removes the unfinished folder', async (code, expected) => {
    const fileSystem = faultyFileSystem((operation, index) =>
      operation === 'write' && index > 20 ? code : undefined,
    );
    const message = await messageOf(writeCheckpoint(folder, contentOfStep(9), { fileSystem }));
    expect(message).toMatch(expected);
    expect(message).toContain('step 9');
    expect(message).not.toContain('\n');
    expect(readdirSync(folder)).toEqual([]);
  });

  it('says that a file is where the folder should be', async () => {
    const path = join(folder, 'checkpoints');
    writeFileSync(path, '');
    expect(await messageOf(writeCheckpoint(path, contentOfStep(1)))).toBe(
      `cannot write the checkpoint of step 1 at ${path}: a file is where a folder is needed`,
    );
    expect(await messageOf(readNewestCheckpoint(path))).toBe(
      `cannot read the checkpoints at ${path}: a file is where a folder is needed`,
    );
  });

  it.skipIf(process.getuid?.() === 0)(
    'says that permission is missing (not as root, who has them all)',
    async () => {
      chmodSync(folder, 0o500);
      const message = await messageOf(writeCheckpoint(folder, contentOfStep(1)));
      chmodSync(folder, 0o700);
      expect(message).toMatch(/permission denied for user \d+$/);
    },
  );

  it.skipIf(!canMount())(
    'keeps the older checkpoints on a disk that is really full (needs root and mount)',
    async () => {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=400k', 'tmpfs', folder]);
      try {
        await writeCheckpoint(folder, contentOfStep(1));
        await writeCheckpoint(folder, contentOfStep(2));
        const message = await messageOf(writeCheckpoint(folder, contentOfStep(3)));
        expect(message).toMatch(
          /^cannot write the checkpoint of step 3 at .*: the disk is full \(.* free\)$/,
        );
        const { newest, skipped } = await readNewestCheckpoint(folder);
        expect(newest?.step).toBe(2);
        expect(skipped).toEqual([]);
        expect(readdirSync(folder)).toHaveLength(2);
      } finally {
        execFileSync('umount', [folder]);
      }
    },
  );
});
