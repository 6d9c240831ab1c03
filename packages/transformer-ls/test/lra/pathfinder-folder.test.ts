import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import type { ExampleSet } from '../../src/lra/example-set.js';
import { prepareSet } from '../../src/lra/prepare.js';
import { scratchFolder } from '../data/scratch-folder.js';

/** Twenty pictures of one grey in two folders, 2 before 10; the grey is ten times the number of the picture. */
async function publishedFolder(root: string, channels: 1 | 3 = 1): Promise<string> {
  const folder = join(root, 'curv_contour_length_14');
  mkdirSync(join(folder, 'metadata'), { recursive: true });
  for (const [first, number] of [2, 10].entries()) {
    const images = `imgs/${number}`;
    mkdirSync(join(folder, images), { recursive: true });
    const lines = [];
    for (let i = 0; i < 10; i++) {
      const raw = { width: 32, height: 32, channels };
      const pixels = Buffer.alloc(1024 * channels, 10 * (10 * first + i));
      await sharp(pixels, { raw })
        .toColourspace(channels === 1 ? 'b-w' : 'srgb')
        .png()
        .toFile(join(folder, images, `sample_${i}.png`));
      lines.push(`${images} sample_${i}.png ${i} ${i % 2} 1.0 14 4 2 0.5 1 1\n`);
    }
    writeFileSync(join(folder, `metadata/${number}.npy`), lines.join(''));
  }
  return folder;
}

const prepare = (from: string) => prepareSet('pathfinder32', { folder: scratchFolder(), from });
const picture = (set: ExampleSet, split: 'train' | 'valid' | 'test', index: number) => {
  const { documents, label } = set.example(split, index);
  return [documents[0]!.length, documents[0]![7], documents[0]![1023], label];
};

describe('the published folders of Pathfinder', () => {
  it.each([1, 3] as const)(
    'are read in the order of their numbers, 80 / 10 / 10; %i channel(s)',
    async (channels) => {
      const root = scratchFolder();
      await publishedFolder(root, channels);
      const set = await prepare(root);
      expect([set.count('train'), set.count('valid'), set.count('test')]).toEqual([16, 2, 2]);
      for (let i = 0; i < 16; i++) expect(picture(set, 'train', i)).toEqual([1024, 10 * i, 10 * i, i % 2]);
      expect(picture(set, 'valid', 1)).toEqual([1024, 170, 170, 1]);
      expect(picture(set, 'test', 0)).toEqual([1024, 180, 180, 0]);
      expect(set.record.caution).toBe('');
      set.close();
    },
  );

  it('may lie below the given folder, as the archive has them', async () => {
    const root = scratchFolder();
    const folder = await publishedFolder(join(root, 'lra_release/pathfinder32'));
    for (const from of [root, join(root, 'lra_release'), join(root, 'lra_release/pathfinder32'), folder]) {
      const set = await prepare(from);
      expect(set.count('train')).toBe(16);
      set.close();
    }
  });

  it('pass over empty files, as the published pipeline does', async () => {
    const folder = await publishedFolder(scratchFolder());
    writeFileSync(join(folder, 'imgs/2/sample_3.png'), '');
    const set = await prepare(folder);
    expect([set.count('train'), set.count('valid'), set.count('test')]).toEqual([15, 2, 2]);
    set.close();
  });

  it.each<[string, (folder: string) => void, RegExp]>([
    [
      'a damaged picture',
      (folder) => writeFileSync(join(folder, 'imgs/2/sample_3.png'), 'x'),
      /imgs\/2\/sample_3\.png: is not the picture that was expected/,
    ],
    [
      'a missing picture',
      (folder) => rmSync(join(folder, 'imgs/10/sample_9.png')),
      /cannot read .*imgs\/10\/sample_9\.png: no such file/,
    ],
    [
      'a name that leads away',
      (folder) => writeFileSync(join(folder, 'metadata/2.npy'), 'imgs/.. sample_1.png 1 0\n'),
      /metadata\/2\.npy: line 1: expected imgs\/<number>.*received "imgs\/\.\. sample_1\.png 1 0"$/,
    ],
    [
      'a label of 2',
      (folder) => writeFileSync(join(folder, 'metadata/2.npy'), 'imgs/2 sample_1.png 1 2\n'),
      /line 1: expected/,
    ],
    [
      'a true NumPy file',
      (folder) => writeFileSync(join(folder, 'metadata/2.npy'), '\x93NUMPY\x01\x00v\n'),
      /2\.npy: line 1: expected/,
    ],
    [
      'no metadata',
      (folder) => rmSync(join(folder, 'metadata'), { recursive: true }),
      /holds neither \*-images-idx3-ubyte\.gz nor pictures/,
    ],
    [
      'empty metadata',
      (folder) => {
        for (const name of ['2', '10']) rmSync(join(folder, `metadata/${name}.npy`));
      },
      /metadata: expected files 0\.npy/,
    ],
  ])('%s is one clear line', async (_, damage, message) => {
    const folder = await publishedFolder(scratchFolder());
    damage(folder);
    await expect(prepare(folder)).rejects.toThrow(message);
  });

  it('pictures of another size are one clear line', async () => {
    const folder = await publishedFolder(scratchFolder());
    await expect(prepareSet('pathfinder64', { folder: scratchFolder(), from: folder })).rejects.toThrow(
      /sample_\d\.png: is not the picture that was expected: expected 64 x 64 pixels, received 32 x 32/,
    );
  });
});
