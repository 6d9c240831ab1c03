import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  type CifarSet,
  cifar10,
  cifar10Classes,
  cifar100,
  cifarArchive,
  cifarCopiesIn,
} from '../../src/images/cifar-batches.js';
import { openCifar } from '../../src/images/colour-images.js';
import { openImageSet } from '../../src/images/sources.js';
import { scratchFolder } from '../data/scratch-folder.js';
import { writeTarGz } from '../lra/archives.js';
import { pickledBatch } from '../lra/python-batch.js';
import { writeFiles } from './pictures.js';

const shared = fileURLToPath(new URL('../../../../../shared/data/cifar10', import.meta.url));

/** Two images a batch. */
const small = (set: CifarSet): CifarSet => ({
  ...set,
  train: Object.fromEntries(Object.keys(set.train).map((name) => [name, 2])),
  test: Object.fromEntries(Object.keys(set.test).map((name) => [name, 2])),
});

/** Image i: planes of i, 2 i and 3 i, but for the first red. */
function planes(i: number): Uint8Array {
  const bytes = new Uint8Array(3072).map((_, at) => i * (1 + Math.floor(at / 1024)));
  bytes[0] = 255;
  return bytes;
}

const fineNames = Array.from({ length: 100 }, (_, i) => `kind ${i}`);

/** Batches of CIFAR-100 with the labels 99 and 1, coarse ones 7 and 8 before them. */
const hundred = {
  'cifar-100-binary/train.bin': Buffer.concat([Buffer.of(7, 99), planes(1), Buffer.of(8, 1), planes(2)]),
  'cifar-100-binary/test.bin': Buffer.concat([Buffer.of(7, 0), planes(3), Buffer.of(8, 1), planes(4)]),
  'cifar-100-binary/fine_label_names.txt': Buffer.from(`${fineNames.join('\n')}\n`),
};

describe('CIFAR in colour', () => {
  it('of CIFAR-10 has its pixels together and its published names', async () => {
    const folder = scratchFolder();
    const record = (i: number) => Buffer.concat([Buffer.of(i), planes(i)]);
    for (const [batch, name] of Object.keys(cifar10.train).entries())
      writeFileSync(join(folder, `${name}.bin`), Buffer.concat([record(2 * batch), record(2 * batch + 1)]));
    const set = await openCifar('cifar10', { set: small(cifar10), kind: 'folder', path: folder }, 'train');
    expect(set.classes).toEqual(cifar10Classes);
    expect([...set.labels]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    const { width, height, data } = await set.read(7);
    expect([width, height, ...data.subarray(0, 6)]).toEqual([32, 32, 255, 14, 21, 7, 14, 21]);
    expect(set.nameOf(7)).toBe(`${folder}: train image 7`);
  });

  it('of CIFAR-100 has fine labels and names, from an archive or a folder', async () => {
    const root = scratchFolder();
    await writeTarGz(join(root, 'cifar-100-binary.tar.gz'), hundred);
    writeFiles(root, hundred);
    const set = small(cifar100);
    const copies = [
      { set, kind: 'archive', path: join(root, 'cifar-100-binary.tar.gz') },
      { set, kind: 'folder', path: join(root, 'cifar-100-binary') },
    ] as const;
    const opened = await Promise.all(copies.map((copy) => openCifar('cifar100', copy, 'train')));
    for (const one of opened) {
      expect(one.classes).toEqual(fineNames);
      expect([...one.labels]).toEqual([99, 1]);
      expect([...(await one.read(1)).data.subarray(3, 6)]).toEqual([2, 4, 6]);
      expect(one.fingerprint).toBe(opened[0]!.fingerprint);
    }
    const test = await openCifar('cifar100', copies[1], 'test');
    expect([...test.labels]).toEqual([0, 1]);
    expect(test.fingerprint).not.toBe(opened[0]!.fingerprint);
  });

  it('of CIFAR-100 is read from pickles', async () => {
    const root = scratchFolder();
    // The labels of this dict are the fine ones: the same batch under another key.
    const batch = Buffer.from(
      Buffer.from(pickledBatch(Buffer.concat([planes(1), planes(2)]), [99, 1]))
        .toString('latin1')
        .replace('U\x06labels', 'U\x0bfine_labels'),
      'latin1',
    );
    const meta = `}(U\x10fine_label_names](${fineNames.map((name) => `U${String.fromCharCode(name.length)}${name}`).join('')}eu.`;
    writeFiles(root, { train: batch, meta: Buffer.from(meta, 'latin1') });
    const set = await openCifar('cifar100', { set: small(cifar100), kind: 'folder', path: root }, 'train');
    expect([[...set.labels], set.classes[99]]).toEqual([[99, 1], 'kind 99']);
  });

  it.each<[string, Record<string, Uint8Array | string>, RegExp]>([
    [
      'no names',
      { 'train.bin': hundred['cifar-100-binary/train.bin'] },
      /holds neither meta nor fine_label_names\.txt with the names of the classes$/,
    ],
    [
      'too few names',
      { 'train.bin': hundred['cifar-100-binary/train.bin'], 'fine_label_names.txt': 'apple\n' },
      /fine_label_names\.txt: expected the names of 100 classes$/,
    ],
    [
      'a label of 100',
      { 'train.bin': Buffer.concat([Buffer.of(7, 100), planes(1), Buffer.of(8, 1), planes(2)]) },
      /train\.bin: image 0: expected a label from 0 to 99$/,
    ],
    [
      'half a batch',
      { 'train.bin': new Uint8Array(3000) },
      /train\.bin: has 3000 bytes, expected 6148 \(2 images of 3074\)$/,
    ],
    ['no batch', { 'test.bin': 'x' }, /holds no train\.bin, expected a training batch$/],
  ])('with %s is one clear line', async (_, files, message) => {
    const root = scratchFolder();
    writeFiles(root, files);
    const copy = { set: small(cifar100), kind: 'folder', path: root } as const;
    await expect(openCifar('cifar100', copy, 'train')).rejects.toThrow(message);
  });

  it('is told by the names of archives and of files in folders', async () => {
    const root = scratchFolder();
    expect(cifarArchive('some/cifar-100-python.tar.gz')?.set).toBe(cifar100);
    expect(cifarArchive('some/other.tar.gz')).toBeUndefined();
    writeFiles(root, hundred);
    expect(cifarCopiesIn(root)).toEqual([
      { set: cifar100, kind: 'folder', path: join(root, 'cifar-100-binary') },
    ]);
    expect(cifarCopiesIn(join(root, 'cifar-100-binary'))).toEqual(cifarCopiesIn(root));
    writeFiles(root, { 'cifar-10-binary.tar.gz': 'x' });
    expect(cifarCopiesIn(root).map(({ set }) => set.title)).toEqual(['CIFAR-10', 'CIFAR-100']);
  });

  it.skipIf(!existsSync(shared))(
    'strips of real photographs are the images of the labels beside them',
    async () => {
      const set = await openImageSet({
        name: 'strips',
        from: { kind: 'cifar-strips', path: shared, part: 'train' },
      });
      expect([set.labels.length, set.classes[set.labels[0]!]]).toEqual([4000, 'frog']);
      const { width, height, data } = await set.read(0);
      // The first pixels of the first published training image.
      expect([width, height, ...data.subarray(0, 6)]).toEqual([32, 32, 59, 62, 63, 43, 46, 45]);
    },
  );
});
