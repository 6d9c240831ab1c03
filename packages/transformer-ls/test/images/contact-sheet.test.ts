import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { drawSheet } from '../../src/cli/image-sheet.js';
import { augmentation } from '../../src/images/augment/presets.js';
import { randAugmentNames } from '../../src/images/augment/rand-augment.js';
import { contactSheet } from '../../src/images/contact-sheet.js';
import { checkXml, outsidePlaces } from '../charts/check-svg.js';
import { memoryPicture } from './memory-set.js';

const sheet = (name: 'published' | 'light' | 'none', seed = 1) =>
  contactSheet({
    title: 'two pictures',
    pictures: [3, 4].map((index) => ({ index, image: memoryPicture(index, 20) })),
    augmentation: augmentation(name),
    size: 16,
    seed,
  });
const cells = (svg: string) => svg.match(/<image /g)?.length;

describe('a contact sheet', () => {
  it('shows each step, each operation and eight epochs of every picture', async () => {
    const svg = await sheet('published');
    checkXml(svg);
    expect(outsidePlaces(svg)).toEqual([]);
    expect(cells(svg)).toBe(2 * (7 + randAugmentNames.length + 8));
    for (const label of ['Original', 'Crop', 'Erasing', 'Equalize', 'TranslateY', 'Epoch 8'])
      expect(svg).toContain(`>${label}<`);
    expect(svg).toMatch(/>Cutmix 0\.[3-7]\d</);
  });

  it('shows only what the augmentation has', async () => {
    const light = await sheet('light');
    expect(cells(light)).toBe(2 * (3 + 8));
    expect(light).not.toContain('RandAugment');
    expect(cells(await sheet('none'))).toBe(2 * (1 + 8));
  });

  it('depends on the seed', async () => {
    const svg = await sheet('published');
    expect(await sheet('published')).toBe(svg);
    expect(await sheet('published', 2)).not.toBe(svg);
  });
});

describe('transformer-ls images --contact-sheet', () => {
  const folder = mkdtempSync(join(tmpdir(), 'contact-sheet-'));
  const flags = { augmentation: 'light', seed: 0, size: 16, pictures: 3 } as const;
  beforeAll(async () => {
    mkdirSync(join(folder, 'photos/cats'), { recursive: true });
    mkdirSync(join(folder, 'broken/cats'), { recursive: true });
    for (const index of [1, 2]) {
      const { data, width, height } = memoryPicture(index);
      const raw = { width, height, channels: 3 } as const;
      await sharp(data, { raw }).toFile(join(folder, `photos/cats/${index}.png`));
    }
    for (const place of ['photos', 'broken']) writeFileSync(join(folder, place, 'cats/0.png'), 'nothing');
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('draws the pictures that can be read', async () => {
    const svg = join(folder, 'sheet.svg');
    expect(await drawSheet(join(folder, 'photos'), svg, flags)).toContain(`wrote ${svg}`);
    expect(cells(readFileSync(svg, 'utf8'))).toBe(2 * (3 + 8));
    const png = join(folder, 'sheet.png');
    await drawSheet(join(folder, 'photos'), png, flags);
    expect((await sharp(png).metadata()).width).toBeGreaterThan(640);
  });

  it('says what is wrong in one line', async () => {
    await expect(drawSheet(join(folder, 'photos'), join(folder, 'sheet.gif'), flags)).rejects.toThrow(
      /^expected --contact-sheet with a name that ends in \.svg or \.png, received .*sheet\.gif$/,
    );
    await expect(drawSheet(join(folder, 'broken'), join(folder, 'sheet.svg'), flags)).rejects.toThrow(
      /^broken: none of its pictures can be read$/,
    );
  });
});
