import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { checkImages } from '../../src/images/check-images.js';
import { openImageSet } from '../../src/images/sources.js';
import { program } from '../cli/program.js';
import { scratchFolder } from '../data/scratch-folder.js';
import { writeTarGz } from '../lra/archives.js';
import { plainPicture, pngClaiming, writeFiles } from './pictures.js';

async function folderWithBadOnes(): Promise<string> {
  const root = scratchFolder();
  writeFiles(root, {
    'train/cat/1.png': await plainPicture(1, 2, 3, { width: 10, height: 20 }),
    'train/cat/2.jpg': await plainPicture(1, 2, 3, { width: 30, height: 5, format: 'jpeg' }),
    'train/cat/3.png': 'no picture',
    'train/dog/4.png': await plainPicture(4, 5, 6, { width: 12, height: 8 }),
    'train/dog/5.png': await pngClaiming(50_000, 50_000),
    'val/dog/6.webp': await plainPicture(4, 5, 6, { format: 'webp' }),
  });
  return root;
}

describe('checking pictures', () => {
  it('counts and names the bad ones and measures the others', async () => {
    const root = await folderWithBadOnes();
    const set = await openImageSet({ name: 'pets', from: { kind: 'folder', path: join(root, 'train') } });
    const progress: [number, number, number][] = [];
    const check = await checkImages(set, { onProgress: (...numbers) => progress.push(numbers) });
    expect(check).toEqual({
      pictures: 5,
      bad: 2,
      badPictures: [
        { index: 2, problem: expect.stringMatching(/cat\/3\.png: expected JPEG, .* begin with "no pictu"$/) },
        {
          index: 4,
          problem: expect.stringMatching(/dog\/5\.png: cannot be decoded: Input image exceeds pixel limit$/),
        },
      ],
      width: { least: 10, median: 12, most: 30 },
      height: { least: 5, median: 8, most: 20 },
    });
    expect(progress.at(-1)).toEqual([5, 5, 2]);
  });

  it('of a set with nothing but bad ones ends', async () => {
    const root = scratchFolder();
    writeFiles(root, { 'a/1.png': 'x', 'a/2.png': 'x' });
    const check = await checkImages(await openImageSet({ name: 'x', from: { kind: 'folder', path: root } }));
    expect([check.bad, check.width]).toEqual([2, { least: 0, median: 0, most: 0 }]);
  });

  it('stops where its caller wants', async () => {
    const root = await folderWithBadOnes();
    const set = await openImageSet({ name: 'pets', from: { kind: 'folder', path: join(root, 'train') } });
    const stop = () => {
      throw new Error('enough');
    };
    await expect(checkImages(set, { onProgress: stop })).rejects.toThrow('enough');
  });
});

describe('transformer-ls images', () => {
  const { run, remove } = program();
  afterAll(remove);

  it('shows parts, classes and numbers', async () => {
    const { code, out, error } = await run(['images', await folderWithBadOnes()]);
    expect({ code, error }).toEqual({ code: 0, error: '' });
    expect(out).toMatch(/train {4}5 pictures of 2 classes, 2 to 3 a class, from train, a folder a class\n/);
    expect(out).toMatch(/valid {4}1 picture of 1 class, 1 a class, from val, a folder a class\n/);
    expect(out).toMatch(/classes {2}2: cat; dog\n$/);
  });

  it('lists bad pictures with --check, and says what holds out where there is no validation part', async () => {
    const { code, out } = await run(['images', join(await folderWithBadOnes(), 'train'), '--check']);
    expect(code).toBe(0);
    expect(out).toMatch(/checked: 2 cannot be read; 10 to 30 \(median 12\) x 5 to 20 \(median 8\) pixels\n/);
    expect(out).toMatch(/bad: .*cat\/3\.png: expected JPEG/);
    expect(out).toContain('no validation part: training holds out 1 picture of 10 for it\n');
  });

  it('prints JSON alone with --json', async () => {
    const { out, error } = await run(['images', await folderWithBadOnes(), '--json', '--check']);
    expect(error).toBe('');
    expect(JSON.parse(out)).toMatchObject({
      parts: [
        { part: 'train', pictures: 5, classesWithPictures: 2, check: { bad: 2 } },
        { part: 'valid', pictures: 1, picturesOfClass: { least: 1, most: 1 }, check: { bad: 0 } },
      ],
      classes: [
        { id: 'cat', name: 'cat' },
        { id: 'dog', name: 'dog' },
      ],
    });
  });

  it('answers what it cannot read in one line', async () => {
    const folder = scratchFolder();
    const path = join(folder, 'x.tar.gz');
    await writeTarGz(path, { 'a/1.png': new Uint8Array(5000).map((_, i) => (i * i * 31) % 251) });
    truncateSync(path, 200);
    writeFileSync(join(folder, 'notes.txt'), 'x');
    for (const [place, message] of [
      [path, /^transformer-ls images: .*x\.tar\.gz: is cut short, the gzip data ends too early\n$/],
      [join(folder, 'notes.txt'), /^transformer-ls images: .*notes\.txt: holds no labelled pictures: .*\n$/],
      [join(folder, 'nothing'), /^transformer-ls images: cannot read .*nothing: no such file or folder\n$/],
    ] as const) {
      const { code, out, error } = await run(['images', place]);
      expect({ code, out }).toEqual({ code: 1, out: '' });
      expect(error).toMatch(message);
    }
  });
});

describe('without the optional packages', () => {
  it('pictures and parquet files say which package they need', async () => {
    vi.resetModules();
    const missing = (name: string) => () => {
      throw new Error(`Cannot find package '${name}'`);
    };
    vi.doMock('sharp', missing('sharp'));
    vi.doMock('hyparquet', missing('hyparquet'));
    const { imageDecoder } = await import('../../src/images/decode.js');
    await expect(imageDecoder()).rejects.toThrow(
      /^pictures need the package sharp, which is not installed: run npm install sharp \(/,
    );
    const { openShard } = await import('../../src/images/parquet-shard.js');
    await expect(openShard('x.parquet')).rejects.toThrow(
      /^parquet files need the package hyparquet, which is not installed: run npm install hyparquet \(/,
    );
    vi.doUnmock('sharp');
    vi.doUnmock('hyparquet');
  });
});
