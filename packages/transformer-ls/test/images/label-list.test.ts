import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findClassTable, readClassTable } from '../../src/images/class-table.js';
import { listedLabels } from '../../src/images/label-list.js';
import { scratchFolder } from '../data/scratch-folder.js';
import { writeFiles } from './pictures.js';

function listFile(text: string): string {
  const path = join(scratchFolder(), 'list.txt');
  writeFileSync(path, text);
  return path;
}

const names = ['n1/a.png', 'n1/b.png', 'n2/c.png', 'n2/not listed.png'];
const labelled = (text: string, known?: readonly string[], of: readonly string[] = names) =>
  listedLabels(listFile(text), 'place', of, known);

describe('a list of labels', () => {
  it('is that of zipped ImageNet, whose folders tell the classes apart', async () => {
    const found = await labelled(
      'train.zip@/n2/c.png\t1\ntrain.zip@/n1/a.png\t0\n\ntrain.zip@/n1/b.png\t0\n',
    );
    expect([...found.files]).toEqual([0, 1, 2]);
    expect([...found.labels]).toEqual([0, 0, 1]);
    expect(found.classIds).toEqual(['n1', 'n2']);
  });

  it('gives numbers where folders do not tell the classes apart', async () => {
    const found = await labelled('n1/a.png 2\nn1/b.png 0\n');
    expect([[...found.labels], found.classIds]).toEqual([
      [2, 0],
      ['0', '1', '2'],
    ]);
  });

  it('may name classes by identifiers', async () => {
    const alone = await labelled('n1/b.png n04\r\nn2/c.png n02\r\n');
    expect([[...alone.files], [...alone.labels], alone.classIds]).toEqual([
      [1, 2],
      [1, 0],
      ['n02', 'n04'],
    ]);
    const known = await labelled('n1/b.png n04\nn2/c.png n02\n', ['n04', 'n03', 'n02']);
    expect([[...known.labels], known.classIds]).toEqual([
      [0, 2],
      ['n04', 'n03', 'n02'],
    ]);
  });

  it('may have more after a tab, blanks in names, and names without folders', async () => {
    const files = ['images/my cat@home.png', 'images/val_0.JPEG'];
    const found = await labelled(
      'val_0.JPEG\tn7\t0\t32\t44\t62\nmy cat@home.png\tn8\t1\t2\n',
      undefined,
      files,
    );
    expect([[...found.labels], found.classIds]).toEqual([
      [1, 0],
      ['n7', 'n8'],
    ]);
    const blanks = await labelled('images/my cat@home.png   3\n', undefined, files);
    expect([...blanks.labels]).toEqual([3]);
  });

  it('takes identifiers that are numbers for identifiers first', async () => {
    expect([...(await labelled('n1/a.png 1\n', ['2', '1', '0'])).labels]).toEqual([1]);
    expect([...(await labelled('n1/a.png 1\n', ['x', 'y', 'z'])).labels]).toEqual([1]);
  });

  it.each<[string, string, readonly string[] | undefined, RegExp]>([
    [
      'a picture that is not there',
      'n1/a.png 0\nn1/z.png 0\nn9/z.png 0\n',
      undefined,
      /list\.txt: names 2 picture\(s\) that are not in place, the first in line 2: n1\/z\.png$/,
    ],
    [
      'a class beyond those known',
      'n1/a.png 2\n',
      ['x', 'y'],
      /line 1: expected a class from 0 to 1 or an identifier such as x, received 2$/,
    ],
    [
      'an unknown identifier',
      'n1/a.png n99\n',
      ['x', 'y'],
      /line 1: expected a class from 0 to 1 or an identifier such as x, received n99$/,
    ],
    ['a negative class', 'n1/a.png -1\n', ['x', 'y'], /received -1$/],
    [
      'an absurd class',
      'n1/a.png 4000000000\n',
      undefined,
      /has a class 4000000000, expected at most 99999$/,
    ],
    [
      'two classes for a picture',
      'n1/a.png 0\nn1/a.png 1\n',
      undefined,
      /line 2: gives n1\/a\.png another class than line 1$/,
    ],
    ['a name alone', 'n1/a.png\n', undefined, /line 1: expected the name of a picture and its class$/],
    ['no lines', '\n\n', undefined, /list\.txt: names no pictures$/],
    ['nothing', '', undefined, /list\.txt: is empty$/],
    ['a name that several have', 'same.png 0\n', undefined, /the first in line 1: same\.png$/],
    [
      'a name that climbs',
      '../../n1/a.png 0\n',
      undefined,
      /not in place, the first in line 1: \.\.\/\.\.\/n1\/a\.png$/,
    ],
  ])('with %s is one clear line', async (_, text, known, message) => {
    await expect(labelled(text, known, [...names, 'x/same.png', 'y/same.png'])).rejects.toThrow(message);
  });

  it('of any bytes gives labels within the classes, or one clear line', async () => {
    const piece = fc.constantFrom('n1/a.png', 'n2/c.png', ' ', '\t', '\n', '0', '1', '@', '/', '\0', 'é');
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 30 }), async (pieces) => {
        const found = await labelled(pieces.join('')).catch((error) => error);
        if (found instanceof Error) expect(found.message).toMatch(/^.+list\.txt: .+$/);
        else for (const label of found.labels) expect(found.classIds[label]).toBeTypeOf('string');
      }),
      { numRuns: 60 },
    );
  });
});

describe('a table of classes', () => {
  it('numbers its classes, or only names them', async () => {
    const numbered = await readClassTable(listFile('1\tn1\tgoldfish\n0\tn0\ttench, Tinca\n'));
    expect([numbered.ids, numbered.names.get('n0')]).toEqual([['n0', 'n1'], 'tench, Tinca']);
    const names = await readClassTable(listFile('n0 tench, Tinca\nn1\tgoldfish\n'));
    expect([names.ids, [...names.names]]).toEqual([
      undefined,
      [
        ['n0', 'tench, Tinca'],
        ['n1', 'goldfish'],
      ],
    ]);
  });

  it.each([
    ['0\tn0\ta\n0\tn1\tb\n', /expected the indices 0 to 1, each once$/],
    ['0\tn0\ta\n5\tn1\tb\n', /expected the indices 0 to 1, each once$/],
    ['0\tn0\ta\n1\tn0\tb\n', /line 2: has n0 again$/],
    ['n0\n', /line 1: expected index, identifier and name of a class between tabs$/],
  ])('%j is one clear line', async (text, message) => {
    await expect(readClassTable(listFile(text))).rejects.toThrow(message);
  });

  it('is found in the folder, else beside it, where it is certain which', async () => {
    const root = scratchFolder();
    writeFiles(root, { 'pets/train/x': '', 'pets.classes.tsv': 'x', 'pets-2.tar': '' });
    const beside = join(root, 'pets.classes.tsv');
    expect(await findClassTable(join(root, 'pets'), true)).toBe(beside);
    expect(await findClassTable(join(root, 'pets-2.tar'), false)).toBe(beside);
    expect(await findClassTable(join(root, 'other.tar'), false)).toBe(beside);
    writeFiles(root, { 'plants.classes.tsv': 'x' });
    expect(await findClassTable(join(root, 'pets'), true)).toBe(beside);
    expect(await findClassTable(join(root, 'other.tar'), false)).toBeUndefined();
    writeFiles(root, { 'pets/LOC_synset_mapping.txt': 'x' });
    const inside = join(root, 'pets/LOC_synset_mapping.txt');
    expect(await findClassTable(join(root, 'pets'), true)).toBe(inside);
    expect(await findClassTable(join(root, 'pets/train'), true)).toBe(inside);
  });
});
