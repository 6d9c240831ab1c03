import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { prepareSet } from '../../src/lra/prepare.js';
import { scratchFolder } from '../data/scratch-folder.js';

/** Examples of each part, and the text of the first. */
async function prepared(name: string, options: Parameters<typeof prepareSet>[1]) {
  const set = await prepareSet(name, options);
  const first = String(set.example('train', 0).documents[0]);
  const { stamp } = set.record;
  set.close();
  return { count: set.count('train'), first, stamp };
}

describe('preparing a set', () => {
  it('makes the same examples for the same seed, and others for another', async () => {
    const make = (seed: number) => prepared('pathfinder32', { folder: scratchFolder(), examples: 8, seed });
    const [one, again, other] = [await make(1), await make(1), await make(2)];
    expect(again.first).toBe(one.first);
    expect(other.first).not.toBe(one.first);
  });

  it('keeps what was prepared where nothing else is asked for, and makes it anew where it is', async () => {
    const folder = scratchFolder();
    const made = await prepared('pathfinder32', { folder, examples: 8, seed: 5 });
    expect(await prepared('pathfinder32', { folder })).toEqual(made);
    expect((await prepared('pathfinder32', { folder, examples: 16 })).count).toBe(16);
  });

  it('reads ListOps tables and generates the parts that are missing', async () => {
    const from = scratchFolder();
    const tree = '[MAX 4 [MIN 7 2 ] ]';
    writeFileSync(
      join(from, 'basic_val.tsv'),
      `Source\tTarget\r\n${tree}\t4\r\n( ( ( [SM 9 ) 5 ) ] )\t4\r\n`,
    );
    writeFileSync(join(from, 'basic_test.tsv'), `Source\tTarget\n${tree}\t4\n`);
    const set = await prepareSet('listops', { folder: scratchFolder(), from, examples: 3 });
    expect([set.count('train'), set.count('valid'), set.count('test')]).toEqual([3, 2, 1]);
    expect(set.example('valid', 0)).toEqual({ documents: [Uint8Array.of(11, 4, 10, 7, 2)], label: 4 });
    set.close();
    const whole = await prepareSet('listops-brackets', { folder: scratchFolder(), from, examples: 3 });
    expect([...whole.example('valid', 1).documents[0]!]).toEqual([13, 9, 5, 14]);
    whole.close();
  });

  it.each([
    ['a wrong label', '[MAX 4 2 ]\t5\n', /line 2: its value is 4, the label says "5"$/],
    ['an unknown word', '[AVG 4 2 ]\t3\n', /line 2: expected a digit/],
    ['no label', '[MAX 4 2 ]\n', /line 2: its value is 4, the label says nothing$/],
  ])('ListOps tables with %s are refused by their line', async (_, line, message) => {
    const [from, folder] = [scratchFolder(), scratchFolder()];
    writeFileSync(join(from, 'basic_train.tsv'), `Source\tTarget\n${line}`);
    await expect(prepareSet('listops', { folder, from })).rejects.toThrow(message);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('reads pairs of papers, and keeps a paper that is in many of them once', async () => {
    const from = scratchFolder();
    writeFileSync(join(from, 'aan.documents.jsonl'), '{"id":"A","text":"aaaa"}\n{"id":"B","text":"bb"}\n');
    for (const part of ['train', 'val', 'test'])
      writeFileSync(join(from, `aan.pairs.${part}.tsv`), '1\tA\tB\n0\tB\tA\n');
    const set = await prepareSet('aan', { folder: scratchFolder(), from });
    expect(set.record.documents.bytes).toBe(6);
    expect(set.lengths('test', 1)).toEqual([2, 4]);
    expect(set.record.reportAs).toBe('aan-substitute');
    set.close();
  });

  it.each<[string, string, Record<string, string>, RegExp]>([
    ['imdb', 'no reviews', {}, /holds no reviews, expected a folder with imdb\.train\.tsv\.gz/],
    ['imdb', 'one table', { 'imdb.train.tsv': '1\t9\t0\tx\n' }, /holds no imdb\.test\.tsv\.gz$/],
    [
      'imdb',
      'too few reviews',
      { 'imdb.train.tsv': '1\t9\t0\tx\n', 'imdb.test.tsv': '1\t9\t0\tx\n' },
      /holds 1 reviews to train and 1 to test, expected 25000 each$/,
    ],
    ['aan', 'no pairs', {}, /holds neither new_aan_pairs\.train\.tsv nor aan\.pairs\.train\.tsv$/],
    [
      'aan',
      'no documents',
      { 'aan.pairs.train.tsv': '1\tA\tB\n' },
      /holds no aan\.documents\.jsonl\.gz, which/,
    ],
    [
      'aan',
      'half a table',
      { 'new_aan_pairs.train.tsv': '1\tA\tB\tx\ty\n' },
      /holds 1 pairs, expected 147086$/,
    ],
    [
      'listops',
      'no tables',
      {},
      /expected a folder with basic_train\.tsv, basic_val\.tsv or basic_test\.tsv/,
    ],
    ['cifar10', 'no images', {}, /holds no CIFAR-10, expected/],
    ['pathfinder32', 'no pictures', {}, /holds neither \*-images-idx3-ubyte\.gz nor pictures/],
  ])('%s from a folder with %s is one clear line and leaves nothing', async (name, _, files, message) => {
    const [from, folder] = [scratchFolder(), scratchFolder()];
    for (const [file, content] of Object.entries(files)) writeFileSync(join(from, file), content);
    const error = await prepareSet(name, { folder, from }).catch((reason) => reason);
    expect(error.name).toBe('DataError');
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain('\n');
    expect(readdirSync(folder)).toEqual([]);
  });

  it('reads Pathfinder images in IDX files, and refuses labels and sizes that do not fit', async () => {
    const from = scratchFolder();
    const idx = (shape: number[], value: number) => {
      const bytes = Buffer.alloc(4 + 4 * shape.length + shape.reduce((a, b) => a * b), value);
      bytes.writeUInt32BE(0x0800 + shape.length);
      for (const [i, size] of shape.entries()) bytes.writeUInt32BE(size, 4 + 4 * i);
      return bytes;
    };
    for (const part of ['train', 'val', 'test']) {
      writeFileSync(join(from, `${part}-images-idx3-ubyte`), idx([2, 32, 32], 9));
      writeFileSync(join(from, `${part}-labels-idx1-ubyte`), idx([2], 1));
    }
    const folder = scratchFolder();
    const set = await prepareSet('pathfinder32', { folder, from });
    expect([set.count('train'), set.count('valid'), set.label('test', 1)]).toEqual([2, 2, 1]);
    set.close();
    await expect(prepareSet('pathfinder64', { folder, from })).rejects.toThrow(
      /images of 4096 pixels in the train part/,
    );
    writeFileSync(join(from, 'val-labels-idx1-ubyte'), idx([2], 2));
    await expect(prepareSet('pathfinder32', { folder: scratchFolder(), from })).rejects.toThrow(
      /in the valid part$/,
    );
  });

  it.each([
    ['imdb', 'imdb is not prepared: pass --from <a folder with imdb.train.tsv.gz'],
    ['listopps', 'there is no set "listopps", expected one of listops, '],
  ])('says what is missing: %s', async (name, message) => {
    await expect(prepareSet(name, { folder: scratchFolder() })).rejects.toThrow(message);
  });

  it('refuses a source that is not there', async () => {
    await expect(prepareSet('listops', { folder: scratchFolder(), from: '/nowhere/at all' })).rejects.toThrow(
      /cannot read .*at all/,
    );
  });
});
