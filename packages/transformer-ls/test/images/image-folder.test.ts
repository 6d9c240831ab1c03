import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ImageError } from '../../src/images/image-set.js';
import { openImageSet } from '../../src/images/sources.js';
import { scratchFolder } from '../data/scratch-folder.js';
import { zipBytes } from '../data/zip-bytes.js';
import { writeTarGz } from '../lra/archives.js';
import { plainPicture, writeFiles } from './pictures.js';

/** Two cats and three dogs, in an order that is not theirs, with what else lies in folders. */
async function pets(): Promise<Record<string, Uint8Array>> {
  return {
    'dog/b.PNG': await plainPicture(20),
    'dog/deeper/still/a.jpeg': await plainPicture(21, 0, 0, { format: 'jpeg' }),
    'dog/a.webp': await plainPicture(22, 0, 0, { format: 'webp' }),
    'cat/2.png': await plainPicture(11),
    'cat/1.png': await plainPicture(10),
    'cat/notes.txt': Buffer.from('x'),
    'cat/._1.png': Buffer.from('x'),
    'cat/.hidden/3.png': Buffer.from('x'),
    'overview.png': await plainPicture(99),
    'documents/readme.md': Buffer.from('x'),
  };
}

const folder = (path: string) => openImageSet({ name: 'pets', from: { kind: 'folder', path } });
const tar = (path: string) => openImageSet({ name: 'pets', from: { kind: 'tar', path } });
const zip = (path: string) => openImageSet({ name: 'pets', from: { kind: 'zip', path } });

async function reds(set: Awaited<ReturnType<typeof folder>>): Promise<number[]> {
  const images = await Promise.all([...set.labels.keys()].map((index) => set.read(index)));
  return images.map(({ data }) => data[0]!);
}

describe('a folder of classes', () => {
  it('has its classes and pictures in the order of their names', async () => {
    const root = scratchFolder();
    writeFiles(root, await pets());
    const set = await folder(root);
    expect(set.name).toBe('pets');
    expect(set.classes).toEqual(['cat', 'dog']);
    expect(set.classIds).toEqual(['cat', 'dog']);
    expect([...set.labels]).toEqual([0, 0, 1, 1, 1]);
    expect([0, 1, 2, 3, 4].map((index) => set.nameOf(index).slice(root.length))).toEqual([
      ': cat/1.png',
      ': cat/2.png',
      ': dog/a.webp',
      ': dog/b.PNG',
      ': dog/deeper/still/a.jpeg',
    ]);
    const found = await reds(set);
    for (const [i, red] of [10, 11, 22, 20, 21].entries()) expect(Math.abs(found[i]! - red)).toBeLessThan(3);
    expect(set.fingerprint).toMatch(/^[0-9a-f]{64}$/);
  });

  it('is the same set as a tar or zip of it, wherever that has its folders', async () => {
    const root = scratchFolder();
    const files = await pets();
    delete files['overview.png'];
    delete files['documents/readme.md'];
    writeFiles(join(root, 'pets'), files);
    const inner = Object.fromEntries(
      Object.entries(files).map(([name, bytes]) => [`set/train/${name}`, bytes]),
    );
    await writeTarGz(join(root, 'pets.tar.gz'), inner);
    const entries = Object.entries(inner).reverse();
    writeFileSync(join(root, 'pets.zip'), zipBytes(entries.map(([name, content]) => ({ name, content }))));
    const sets = [
      await folder(join(root, 'pets')),
      await tar(join(root, 'pets.tar.gz')),
      await zip(join(root, 'pets.zip')),
    ];
    for (const set of sets) {
      expect([set.classes, set.labels, set.fingerprint]).toEqual([
        sets[0]!.classes,
        sets[0]!.labels,
        sets[0]!.fingerprint,
      ]);
      expect(await reds(set)).toEqual(await reds(sets[0]!));
      await set.close();
    }
  });

  it('has another fingerprint with another class, name or size', async () => {
    const fingerprint = async (files: Record<string, Uint8Array>) => {
      const root = scratchFolder();
      writeFiles(root, files);
      return (await folder(root)).fingerprint;
    };
    const one = await plainPicture(1);
    const all = await Promise.all([
      fingerprint({ 'a/1.png': one, 'b/2.png': one }),
      fingerprint({ 'a/1.png': one, 'a/2.png': one }),
      fingerprint({ 'a/1.png': one, 'b/3.png': one }),
      fingerprint({ 'a/1.png': one, 'b/2.png': Buffer.concat([one, Buffer.of(0)]) }),
    ]);
    expect(new Set(all).size).toBe(4);
  });

  it('follows links, but not in circles', async () => {
    const [root, elsewhere] = [scratchFolder(), scratchFolder()];
    writeFiles(elsewhere, { 'x/1.png': await plainPicture(7), 'y.png': await plainPicture(8) });
    mkdirSync(join(root, 'here'));
    symlinkSync(join(elsewhere, 'x'), join(root, 'linked'));
    symlinkSync(join(elsewhere, 'y.png'), join(root, 'here/y.png'));
    expect(await reds(await folder(root))).toEqual([8, 7]);
    symlinkSync(root, join(root, 'here/above'));
    await expect(folder(root)).rejects.toThrow(/does a link lead back to a folder above it\?$/);
  });

  it('says of each bad picture what is wrong, and gives the others', async () => {
    const root = scratchFolder();
    writeFiles(root, {
      'a/1.png': await plainPicture(1),
      'a/2.png': 'no picture',
      'a/3.png': '',
      'a/new\nline.png': 'x',
    });
    symlinkSync(join(root, 'gone.png'), join(root, 'a/4.png'));
    mkdirSync(join(root, 'a/5.png'));
    const set = await folder(root);
    expect(set.labels).toHaveLength(5);
    expect((await set.read(0)).data[0]).toBe(1);
    for (const [index, message] of [
      [1, /a\/2\.png: expected JPEG, .* received bytes that begin with "no pictu"$/],
      [2, /a\/3\.png: expected JPEG, .* received no bytes$/],
      [3, /a\/4\.png: cannot read it: no such file or folder$/],
      [4, /a\/new line\.png: expected JPEG, .* received bytes that begin with "x"$/],
    ] as const) {
      const error = await set.read(index).catch((caught) => caught);
      expect(error).toBeInstanceOf(ImageError);
      expect(error.message.startsWith(set.nameOf(index))).toBe(true);
      expect(error.message).toMatch(message);
    }
  });

  it.each([
    [{ 'readme.md': 'x' }, /: expected folders of pictures, one a class$/],
    [{ '1.png': 'x' }, /: expected folders of pictures, one a class$/],
    [{ 'a/readme.md': 'x' }, /: expected folders of pictures, one a class$/],
  ])('without classes is one clear line: %j', async (files, message) => {
    const root = scratchFolder();
    writeFiles(root, files as Record<string, string>);
    await expect(folder(root)).rejects.toThrow(message);
  });

  it('that is not there is one clear line', async () => {
    await expect(folder(join(scratchFolder(), 'nothing'))).rejects.toThrow(
      /^cannot read .*nothing: no such file or folder$/,
    );
  });
});

describe('a tar archive', () => {
  it.each<[string, Record<string, Uint8Array>, RegExp]>([
    [
      'a name that climbs',
      { 'a/../../b/1.png': Buffer.of(1) },
      /holds a\/\.\.\/\.\.\/b\/1\.png, a name that leads out of the archive$/,
    ],
    [
      'a name from the root',
      { '/etc/1.png': Buffer.of(1) },
      /holds \/etc\/1\.png, a name that leads out of the archive$/,
    ],
    ['one name twice', { 'a/1.png': Buffer.of(1), './a/1.png': Buffer.of(2) }, /holds a\/1\.png twice$/],
    ['no pictures', { 'a/1.txt': Buffer.of(1) }, /expected folders of pictures, one a class$/],
    ['pictures without folders', { '1.png': Buffer.of(1) }, /expected folders of pictures, one a class$/],
  ])('with %s is one clear line', async (_, files, message) => {
    const path = join(scratchFolder(), 'x.tar.gz');
    await writeTarGz(path, files);
    await expect(tar(path)).rejects.toThrow(message);
  });

  it('with a terminal command in a name shows it harmlessly', async () => {
    const path = join(scratchFolder(), 'x.tar.gz');
    await writeTarGz(path, { '../\x1b[2J\n.png': Buffer.of(1) });
    await expect(tar(path)).rejects.toThrow(/holds \.\.\/ \[2J \.png, a name that leads out/);
  });

  it('of one class has that class', async () => {
    const path = join(scratchFolder(), 'x.tar.gz');
    await writeTarGz(path, {
      'train/cat/1.png': await plainPicture(1),
      'train/cat/2.png': await plainPicture(2),
    });
    expect((await tar(path)).classes).toEqual(['cat']);
  });

  it('that is none is one clear line', async () => {
    const path = join(scratchFolder(), 'x.tar');
    writeFileSync(path, 'no archive'.repeat(100));
    await expect(tar(path)).rejects.toThrow(/x\.tar: is not a sound tar archive: /);
  });
});

const picture = await plainPicture(77);

describe('a zip archive', () => {
  type Change = Partial<Parameters<typeof zipBytes>[0][number]>;

  async function opened(change: Change) {
    const path = join(scratchFolder(), 'x.zip');
    const good = { name: 'a/1.png', content: picture };
    writeFileSync(path, zipBytes([good, { ...good, name: 'b/2.png', ...change }]));
    return zip(path);
  }

  it.each<[string, Change, RegExp]>([
    [
      'a size that is too small',
      { declaredSize: picture.length - 1 },
      /b\/2\.png: Cannot create a Buffer larger than \d+ bytes$/,
    ],
    [
      'a size that is too large',
      { declaredSize: picture.length + 1 },
      /b\/2\.png: has \d+ bytes, the archive says \d+$/,
    ],
    [
      'a size of four gigabytes',
      { declaredSize: 0xfffffff0 },
      /b\/2\.png: has 4294967280 bytes, expected at most 67108864$/,
    ],
    ['a wrong checksum', { declaredCrc: 1 }, /b\/2\.png: is damaged: its checksum is wrong$/],
  ])('with %s gives its other pictures', async (_, change, message) => {
    const set = await opened(change);
    expect((await set.read(0)).data[0]).toBe(77);
    const error = await set.read(1).catch((caught) => caught);
    expect(error).toBeInstanceOf(ImageError);
    expect(error.message).toMatch(message);
    await set.close();
  });

  it.each<[string, Change, RegExp]>([
    [
      'a name that climbs',
      { name: '../2.png' },
      /is not a sound zip archive: invalid relative path: \.\.\/2\.png$/,
    ],
    ['a name from the root', { name: '/2.png' }, /is not a sound zip archive: absolute path: \/2\.png$/],
    ['an encrypted picture', { flags: 1 }, /b\/2\.png is encrypted, expected stored or deflated pictures$/],
    ['one name twice', { name: 'a/1.png' }, /holds a\/1\.png twice$/],
  ])('with %s is one clear line', async (_, change, message) => {
    await expect(opened(change)).rejects.toThrow(message);
  });

  it('passes over links', async () => {
    const set = await opened({ mode: 0o120777 });
    expect(set.labels).toHaveLength(1);
    await set.close();
  });

  it('that was cut short, or is none, is one clear line', async () => {
    const path = join(scratchFolder(), 'x.zip');
    const bytes = zipBytes([{ name: 'a/1.png', content: picture }]);
    for (const part of [bytes.subarray(0, -30), Buffer.from('no archive'), Buffer.alloc(0)]) {
      writeFileSync(path, part);
      await expect(zip(path)).rejects.toThrow(/x\.zip: is not a sound zip archive: [^\n]+$/);
    }
  });

  it('whose contents were moved says so of each picture', async () => {
    const path = join(scratchFolder(), 'x.zip');
    const bytes = zipBytes([{ name: 'a/1.png', content: picture }]);
    bytes.fill(0, 0, 40);
    writeFileSync(path, bytes);
    const set = await zip(path);
    await expect(set.read(0)).rejects.toThrow(/x\.zip: a\/1\.png: is not where the archive says$/);
    await set.close();
  });
});

const shared = new URL('../../../../../shared/data/tiny-imagenet/', import.meta.url).pathname;
describe('real pictures', () => {
  it.skipIf(!existsSync(shared))(
    'of Tiny ImageNet are read from their archive, with names for people',
    async () => {
      const path = join(shared, 'tiny-imagenet-30.val.tar.gz');
      const classTable = join(shared, 'tiny-imagenet-30.classes.tsv');
      const set = await openImageSet({ name: 'tiny', from: { kind: 'tar', path }, classTable });
      expect([set.labels.length, set.classes.length]).toEqual([1500, 30]);
      expect(set.classIds).toEqual([...set.classIds].sort());
      expect(set.classes[set.classIds.indexOf('n02124075')]).toBe('Egyptian cat');
      const { width, height } = await set.read(749);
      expect([width, height]).toEqual([64, 64]);
    },
  );
});
