import { existsSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findImages } from '../../src/images/find-source.js';
import { heldOut } from '../../src/images/held-out.js';
import type { ImageSet } from '../../src/images/image-set.js';
import { findImageSource } from '../../src/images/part-source.js';
import { relabelled } from '../../src/images/relabelled.js';
import { type ImageSource, openImageSet } from '../../src/images/sources.js';
import { scratchFolder } from '../data/scratch-folder.js';
import { zipBytes } from '../data/zip-bytes.js';
import { writeTarGz } from '../lra/archives.js';
import { plainPicture, writeFiles } from './pictures.js';

const picture = await plainPicture(50);
const sharedData = fileURLToPath(new URL('../../../../../shared/data', import.meta.url));
const parquet = fileURLToPath(new URL('./fixtures/train-00000-of-00002.parquet', import.meta.url));

/** Files by name, all the same picture. */
const pictures = (...names: string[]) => Object.fromEntries(names.map((name) => [name, picture]));
const zipOf = (...names: string[]) => zipBytes(names.map((name) => ({ name, content: picture })));

function placed(files: Readonly<Record<string, Uint8Array | string>>): string {
  const root = scratchFolder();
  writeFiles(root, files);
  return root;
}

/** Names of the pictures below the folder, with the identifiers of their classes. */
async function contents(source: ImageSource, root: string): Promise<string[]> {
  const set = await openImageSet(source);
  const names = [...set.labels].map(
    (label, i) => `${set.nameOf(i).replace(root, '')} ${set.classIds[label]}`,
  );
  await set.close();
  return names;
}

describe('what a place holds', () => {
  it('train and val with a folder a class', async () => {
    const root = placed(pictures('train/cat/1.png', 'train/dog/2.png', 'val/dog/3.png', 'documents/4.png'));
    const found = await findImages(root);
    expect(Object.keys(found)).toEqual(['train', 'valid']);
    expect(await contents(found.valid!, root)).toEqual(['/val: dog/3.png dog']);
    const valid = await findImageSource(root, 'valid');
    expect(valid.classIds).toEqual(['cat', 'dog']);
    expect([...(await openImageSet(valid)).labels]).toEqual([1]);
  });

  it('folders of classes, one of which is a train', async () => {
    const root = placed(pictures('bus/1.png', 'train/2.png', 'car/3.png'));
    const { all, ...others } = await findImages(root);
    expect(others).toEqual({});
    expect((await openImageSet(all!)).classes).toEqual(['bus', 'car', 'train']);
  });

  it('ImageNet as it is often unpacked: val flat with a list, test without labels', async () => {
    const root = placed({
      ...pictures('train/n01/a.JPEG', 'train/n02/b.JPEG', 'val/v1.JPEG', 'val/v2.JPEG', 'test/t1.JPEG'),
      'val.txt': 'v1.JPEG 1\nv2.JPEG n01\n',
      'LOC_synset_mapping.txt': 'n01 tench, Tinca\nn02 goldfish\n',
    });
    expect(Object.keys(await findImages(root))).toEqual(['train', 'valid']);
    const test = await findImageSource(root, 'test');
    expect(await contents(test, root)).toEqual(['/val: v1.JPEG n02', '/val: v2.JPEG n01']);
    expect((await openImageSet(test)).classes).toEqual(['tench, Tinca', 'goldfish']);
  });

  it('folders of classes beside texts that are no lists', async () => {
    const root = placed({
      ...pictures('pets/train/a/1.png', 'pets/val/a/2.png'),
      'pets.txt': 'Pictures of pets.\n',
      'pets/train.txt': 'train/a/1.png\n',
    });
    const place = join(root, 'pets');
    expect(await contents(await findImageSource(place, 'train'), place)).toEqual(['/train: a/1.png a']);
  });

  it('Tiny ImageNet as published', async () => {
    const root = placed({
      ...pictures(
        'train/n02/images/n02_0.JPEG',
        'train/n01/images/n01_0.JPEG',
        'val/images/val_0.JPEG',
        'test/images/test_0.JPEG',
      ),
      'train/n01/n01_boxes.txt': 'n01_0.JPEG\t0\t0\t62\t63\n',
      'val/val_annotations.txt': 'val_0.JPEG\tn02\t0\t32\t44\t62\n',
      'words.txt': 'n01\tgoldfish\nn02\tfire salamander\nn99\tother\n',
    });
    expect(Object.keys(await findImages(root))).toEqual(['train', 'valid']);
    const set = await openImageSet(await findImageSource(root, 'valid'));
    expect([[...set.labels], set.classes]).toEqual([[1], ['goldfish', 'fire salamander']]);
  });

  it('zipped ImageNet with lists', async () => {
    const root = placed({
      'train.zip': zipOf('n01/a.JPEG', 'n01/b.JPEG', 'n02/c.JPEG'),
      'train_map.txt': 'train.zip@/n01/a.JPEG\t0\ntrain.zip@/n01/b.JPEG\t0\ntrain.zip@/n02/c.JPEG\t1\n',
      'val.zip': zipOf('v1.JPEG', 'v2.JPEG'),
      'val_map.txt': 'val.zip@/v2.JPEG\t1\nval.zip@/v1.JPEG\t0\n',
    });
    expect(await contents(await findImageSource(root, 'valid'), root)).toEqual([
      '/val.zip: v1.JPEG n01',
      '/val.zip: v2.JPEG n02',
    ]);
  });

  it('an archive with both parts, or one of each', async () => {
    const root = scratchFolder();
    await writeTarGz(
      join(root, 'both.tar.gz'),
      pictures('set/train/a/1.png', 'set/train/b/2.png', 'set/val/b/3.png'),
    );
    const both = await findImages(join(root, 'both.tar.gz'));
    expect(Object.keys(both)).toEqual(['train', 'valid']);
    expect(await contents(both.valid!, root)).toEqual(['/both.tar.gz: set/val/b/3.png b']);
    expect(await findImages(root)).toEqual({
      train: expect.objectContaining({ from: expect.objectContaining({ inside: 'set/train' }) }),
      valid: expect.anything(),
    });
    const other = scratchFolder();
    await writeTarGz(join(other, 'pets.train.tar.gz'), pictures('train/a/1.png', 'train/b/2.png'));
    writeFileSync(join(other, 'pets.validation.zip'), zipOf('validation/b/3.png'));
    expect(await contents(await findImageSource(other, 'valid'), other)).toEqual([
      '/pets.validation.zip: validation/b/3.png b',
    ]);
  });

  it('parquet files, also in a folder called data', async () => {
    const { readFileSync } = await import('node:fs');
    const bytes = readFileSync(parquet);
    const root = placed({
      'data/train-00000-of-00001.parquet': bytes,
      'data/test-00000-of-00001.parquet': bytes,
      'README.md': 'x',
    });
    const found = await findImages(root);
    expect(Object.keys(found)).toEqual(['test', 'train']);
    expect((await openImageSet(await findImageSource(root, 'test'))).labels).toHaveLength(7);
    expect(Object.keys(await findImages(parquet))).toEqual(['all']);
  });

  it.each<[string, Record<string, Uint8Array | string>, RegExp]>([
    [
      'nothing',
      { 'readme.md': 'x' },
      /: holds no labelled pictures: expected folders of pictures, one a class, or train and val/,
    ],
    ['pictures without labels', pictures('1.png', '2.png'), /: holds no labelled pictures: /],
    [
      'two validation parts',
      pictures('train/a/1.png', 'val/a/1.png', 'valid/a/1.png'),
      /expected one valid part, found val and valid: give one of them$/,
    ],
    [
      'two lists',
      { ...pictures('val/1.png', 'train/a/1.png'), 'val/labels.tsv': 'x', 'val_map.txt': 'x' },
      /val: expected one list of labels, found .*val\/labels\.tsv and .*val_map\.txt$/,
    ],
    [
      'two archives',
      { 'a.zip': zipOf('x/1.png'), 'b.zip': zipOf('x/1.png') },
      /holds a\.zip, b\.zip: give one of them$/,
    ],
    [
      'both CIFARs',
      { 'cifar-10-binary.tar.gz': 'x', 'cifar-100-binary.tar.gz': 'x' },
      /holds CIFAR-10 and CIFAR-100, expected one of them/,
    ],
  ])('%s is one clear line', async (_, files, message) => {
    await expect(findImages(placed(files))).rejects.toThrow(message);
  });

  it('a file that is none of these, or not there, is one clear line', async () => {
    const root = placed({ 'a.txt': 'x' });
    await expect(findImages(join(root, 'a.txt'))).rejects.toThrow(
      /a\.txt: holds no labelled pictures: expected/,
    );
    await expect(findImages(join(root, 'b'))).rejects.toThrow(/^cannot read .*b: no such file or folder$/);
  });

  it.skipIf(!existsSync(sharedData))('the shared sets as they lie', async () => {
    const tiny = await findImages(join(sharedData, 'tiny-imagenet'));
    expect([tiny.train?.name, tiny.valid?.name]).toEqual(['tiny-imagenet train', 'tiny-imagenet valid']);
    const cifar = await findImages(join(sharedData, 'cifar10'));
    expect(Object.keys(cifar).sort()).toEqual(['test', 'train']);
    const strips = await findImages(join(sharedData, 'cifar10/test_rows_0000-0999.png'));
    expect(strips.test?.from).toMatchObject({ kind: 'cifar-strips', part: 'test' });
    const samples = await openImageSet((await findImages(join(sharedData, 'imagenet-samples'))).all!);
    expect([samples.labels.length, samples.classes.length]).toEqual([235, 1000]);
    expect([samples.nameOf(0).split(': ')[1], samples.classes[samples.labels[0]!]]).toEqual([
      'n01443537_goldfish.JPEG',
      'goldfish',
    ]);
  });
});

describe('parts', () => {
  const many = (folder: string) =>
    Array.from({ length: 30 }, (_, i) => `${folder}/${i < 15 ? 'a' : 'b'}/${i}.png`);

  it('of an undivided place are held out, and none is in two', async () => {
    const root = placed(pictures(...many('all')));
    const parts = await Promise.all(
      (['train', 'valid', 'all'] as const).map((part) => findImageSource(root, part)),
    );
    const [train, valid, all] = await Promise.all(parts.map((source) => contents(source, root)));
    expect([train!.length, valid!.length]).toEqual([27, 3]);
    expect([...train!, ...valid!].sort()).toEqual(all!.toSorted());
    const title = basename(root);
    expect(parts.map(({ name }) => name)).toEqual([`${title} (9 of 10)`, `${title} (1 of 10)`, title]);
    expect(parts[1]!.heldOut).toEqual({ every: 10, seed: 0, take: 'held-out' });
    // Plain data: a source survives being sent.
    expect(await contents(JSON.parse(JSON.stringify(parts[1])), root)).toEqual(valid);
  });

  it('for tests are those for validation where there are no others', async () => {
    const root = placed(pictures(...many('train'), 'val/a/1.png'));
    expect(await findImageSource(root, 'test')).toEqual(await findImageSource(root, 'valid'));
    expect((await findImageSource(root, 'train')).heldOut).toBeUndefined();
    await expect(findImageSource(root, 'all')).rejects.toThrow(
      /: is divided into train, valid: expected one of these parts$/,
    );
  });

  it('leave the test part alone where validation is held out of training', async () => {
    const root = placed(pictures(...many('train'), 'test/a/1.png', 'test/b/2.png'));
    const lengths = await Promise.all(
      (['train', 'valid', 'test'] as const).map(
        async (part) => (await contents(await findImageSource(root, part), root)).length,
      ),
    );
    expect(lengths).toEqual([27, 3, 2]);
  });

  it('without training are one clear line', async () => {
    const root = placed(pictures('val/a/1.png', 'test/a/2.png'));
    await expect(findImageSource(root, 'train')).rejects.toThrow(
      /: has no training part, only valid, test|test, valid$/,
    );
  });

  it('of other classes than those for training are one clear line', async () => {
    const root = placed(pictures('train/a/1.png', 'train/b/1.png', 'val/c/1.png'));
    const source = await findImageSource(root, 'valid');
    await expect(openImageSet(source)).rejects.toThrow(
      /valid: expected classes among 2 known ones such as a, received 1 other\(s\) such as c$/,
    );
  });
});

/** A set of this many pictures without any. */
function emptySet(labels: readonly number[], classIds: readonly string[]): ImageSet {
  return {
    name: 'x',
    classes: classIds.map((id) => `the ${id}`),
    classIds,
    labels: Int32Array.from(labels),
    fingerprint: 'f',
    nameOf: (index) => String(index),
    read: async () => ({ width: 1, height: 1, data: new Uint8Array(3) }),
    close: async () => undefined,
  };
}

describe('holding out', () => {
  it('takes one of each so many, always the same for a seed', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 200 }),
        fc.integer({ min: 2, max: 20 }),
        fc.nat(),
        (total, every, seed) => {
          fc.pre(every <= total);
          const set = emptySet(
            Array.from({ length: total }, (_, i) => i % 3),
            ['a', 'b', 'c'],
          );
          const out = heldOut(set, { every, seed, take: 'held-out' });
          const rest = heldOut(set, { every, seed, take: 'rest' });
          const chosen = [...out.labels.keys()].map((i) => Number(out.nameOf(i)));
          expect(chosen.map((index) => Math.floor(index / every))).toEqual(
            Array.from({ length: Math.floor(total / every) }, (_, group) => group),
          );
          const others = [...rest.labels.keys()].map((i) => Number(rest.nameOf(i)));
          expect([...chosen, ...others].sort((a, b) => a - b)).toEqual([...set.labels.keys()]);
          expect([...out.labels]).toEqual(chosen.map((index) => index % 3));
          expect(heldOut(set, { every, seed, take: 'held-out' }).fingerprint).toBe(out.fingerprint);
          expect(out.fingerprint).not.toBe(rest.fingerprint);
        },
      ),
    );
  });

  it.each([0, 1, 1.5, 5])('1 of %d of four pictures is one clear line', (every) => {
    expect(() => heldOut(emptySet([0, 0, 0, 0], ['a']), { every, seed: 0, take: 'rest' })).toThrow(
      `x: expected to hold out 1 picture of 2 to 4, received 1 of ${every}`,
    );
  });
});

describe('labels of another part', () => {
  it('are found by the identifiers of classes', () => {
    const set = relabelled(emptySet([0, 1, 1], ['dog', 'bird']), ['bird', 'cat', 'dog']);
    expect([...set.labels]).toEqual([2, 0, 0]);
    expect(set.classes).toEqual(['the bird', 'cat', 'the dog']);
  });
});
