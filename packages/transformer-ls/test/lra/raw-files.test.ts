import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fieldsOf, linesOf } from '../../src/data/lines.js';
import { tarFiles } from '../../src/data/tar.js';
import { readIdx } from '../../src/lra/idx.js';
import { pairsOfIds, pairsOfTable, readDocuments } from '../../src/lra/retrieval.js';
import { reviewsOfArchive, reviewsOfFolder, reviewsOfTable } from '../../src/lra/reviews.js';
import { scratchFolder } from '../data/scratch-folder.js';
import { writeTarGz } from './archives.js';

const bytes = (text: string) => new TextEncoder().encode(text);
const textOf = (some: Uint8Array) => new TextDecoder().decode(some);

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

function fileOf(content: string | Uint8Array, name = 'file'): string {
  const path = join(scratchFolder(), name);
  writeFileSync(path, content);
  return path;
}

describe('lines', () => {
  it('are cut at LF alone, with or without CR before it, compressed or not', async () => {
    const text = 'one\r\n\u2028two\u0085\r still two\n\n\tlast';
    for (const content of [bytes(text), gzipSync(text)])
      expect((await all(linesOf(fileOf(content)))).map(textOf)).toEqual([
        'one',
        '\u2028two\u0085\r still two',
        '',
        '\tlast',
      ]);
  });

  it('of any bytes, joined by LF, are the bytes', async () => {
    const piece = fc.array(fc.constantFrom(65, 9, 10, 200), { minLength: 1, maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(piece, async (numbers) => {
        const lines = await all(linesOf(fileOf(Uint8Array.from(numbers))));
        const joined = lines.flatMap((line) => [...line, 10]);
        expect(joined).toEqual(numbers.at(-1) === 10 ? numbers : [...numbers, 10]);
      }),
      { numRuns: 30 },
    );
  });

  it('fall into fields at the first tabs', () => {
    expect(fieldsOf(bytes('a\t\tc\td\te'), 3).map(textOf)).toEqual(['a', '', 'c', 'd\te']);
    expect(fieldsOf(bytes('a'), 3).map(textOf)).toEqual(['a']);
  });
});

describe('IDX', () => {
  const header = (...shape: number[]) => {
    const head = Buffer.alloc(4 + 4 * shape.length);
    head.writeUInt32BE(0x0800 + shape.length);
    for (const [i, size] of shape.entries()) head.writeUInt32BE(size, 4 + 4 * i);
    return head;
  };

  it('gives its arrays, compressed or not', async () => {
    const file = Buffer.concat([header(2, 1, 3), Buffer.of(1, 2, 3, 4, 5, 6)]);
    for (const content of [file, gzipSync(file)])
      expect((await readIdx(fileOf(content))).map((one) => [...one])).toEqual([
        [1, 2, 3],
        [4, 5, 6],
      ]);
  });

  it.each<[string, Uint8Array, RegExp]>([
    [
      'too little',
      Buffer.concat([header(2, 3), Buffer.of(1)]),
      /expected 2 x 3 bytes after its sizes, found 1$/,
    ],
    [
      'sizes beyond all memory',
      header(2 ** 32 - 1, 2 ** 32 - 1, 2 ** 32 - 1),
      /bytes after its sizes, found 0$/,
    ],
    [
      'any number of arrays of nothing',
      header(2 ** 32 - 1, 0),
      /expected sizes above 0, received 4294967295 x 0$/,
    ],
    ['numbers that are no bytes', Buffer.of(0, 0, 0x0d, 1, 0, 0, 0, 0), /expected an IDX file of bytes/],
    ['nothing', Buffer.of(), /expected an IDX file of bytes/],
    ['half a gzip file', gzipSync(Buffer.alloc(1000, 7)).subarray(0, 15), /is not a sound gzip file/],
  ])('refuses %s', async (_, content, message) => {
    await expect(readIdx(fileOf(content))).rejects.toThrow(message);
  });
});

describe('tar', () => {
  it('gives the wanted files in their order', async () => {
    const path = join(scratchFolder(), 'some.tar.gz');
    await writeTarGz(path, { 'b.txt': bytes('2'), 'a.md': bytes('x'), 'a.txt': bytes('1') });
    const files = await all(tarFiles(path, (name) => name.endsWith('.txt')));
    expect(files.map(({ name, bytes: content }) => [name, textOf(content)])).toEqual([
      ['b.txt', '2'],
      ['a.txt', '1'],
    ]);
  });

  it('refuses half an archive and what is none', async () => {
    const path = join(scratchFolder(), 'some.tar.gz');
    await writeTarGz(path, { 'a.txt': Uint8Array.from({ length: 5000 }, (_, i) => (i * i * 31) % 251) });
    truncateSync(path, 300);
    await expect(all(tarFiles(path, () => true))).rejects.toThrow(/cut short|not a sound tar archive/);
    await expect(all(tarFiles(fileOf('no archive'), () => true))).rejects.toThrow(
      /is not a sound tar archive/,
    );
  });
});

describe('reviews', () => {
  const names = ['train/neg/0_3.txt', 'train/pos/0_9.txt', 'test/neg/0_1.txt', 'test/pos/0_10.txt'];
  const expected = [
    { part: 'train', label: 0, text: 'train/neg/0_3.txt' },
    { part: 'train', label: 1, text: 'train/pos/0_9.txt' },
    { part: 'test', label: 0, text: 'test/neg/0_1.txt' },
    { part: 'test', label: 1, text: 'test/pos/0_10.txt' },
  ];
  const plain = (reviews: Awaited<ReturnType<typeof all<{ text: Uint8Array }>>>) =>
    reviews.map((review) => ({ ...review, text: textOf(review.text) }));

  it('come from the folder and from the archive, without the unlabelled ones', async () => {
    const folder = scratchFolder();
    for (const name of [...names, 'train/unsup/0_0.txt', 'train/neg/readme.md']) {
      mkdirSync(join(folder, name, '..'), { recursive: true });
      writeFileSync(join(folder, name), name);
    }
    expect(plain(await all(reviewsOfFolder(folder)))).toEqual(expected);
    const path = join(folder, 'aclImdb_v1.tar.gz');
    const archived = [...names, 'train/unsup/0_0.txt'].map(
      (name) => [`aclImdb/${name}`, bytes(name)] as const,
    );
    await writeTarGz(path, Object.fromEntries(archived));
    expect(plain(await all(reviewsOfArchive(path)))).toEqual(expected);
  });

  it('come from a table, tabs in the text kept', async () => {
    const path = fileOf('1\t9\t0\ta\tb\n0\t2\t1\t\n');
    expect(plain(await all(reviewsOfTable(path, 'test')))).toEqual([
      { part: 'test', label: 1, text: 'a\tb' },
      { part: 'test', label: 0, text: '' },
    ]);
  });

  it.each(['2\t9\t0\ttext\n', '1\t9\ttext\n', 'one\t9\t0\ttext\n'])(
    'a table with %j is refused',
    async (line) => {
      await expect(all(reviewsOfTable(fileOf(`0\t1\t0\tgood\n${line}`), 'train'))).rejects.toThrow(
        /: line 2: expected label 0 or 1, rating, id and text between tabs$/,
      );
    },
  );
});

describe('pairs of papers', () => {
  it('come from a published table', async () => {
    const path = fileOf('1.0\tA\tB\tfirst text\tsecond\twith tab\n0\tA\tC\t\tx\n');
    const pairs = await all(pairsOfTable(path));
    expect(pairs.map(({ label, texts }) => [label, ...texts.map(textOf)])).toEqual([
      [1, 'first text', 'second\twith tab'],
      [0, '', 'x'],
    ]);
  });

  it('come from ids and documents', async () => {
    const documents = await readDocuments(fileOf('{"id":"A","text":"é"}\n{"id":"B","text":"b"}\n'));
    const pairs = await all(pairsOfIds(fileOf('0\tA\tB\n1\tB\tA\n'), documents));
    expect(pairs.map(({ label, texts }) => [label, ...texts.map(textOf)])).toEqual([
      [0, 'é', 'b'],
      [1, 'b', 'é'],
    ]);
  });

  it.each([
    ['1\tA\tB\tonly one text\n', /line 1: expected label, two ids and two texts/],
    ['2\tA\tB\tx\ty\n', /line 1: expected a label 0 or 1/],
    ['\tA\tB\tx\ty\n', /line 1: expected a label 0 or 1/],
    ['0x1\tA\tB\tx\ty\n', /line 1: expected a label 0 or 1/],
  ])('a table with %j is refused', async (line, message) => {
    await expect(all(pairsOfTable(fileOf(line)))).rejects.toThrow(message);
  });

  it('unknown ids and lines that are no documents are refused', async () => {
    const documents = await readDocuments(fileOf('{"id":"A","text":"a"}\n'));
    await expect(all(pairsOfIds(fileOf('1\tA\tZ\n'), documents))).rejects.toThrow(
      /line 1: expected label and two ids/,
    );
    await expect(readDocuments(fileOf('{"id":"A"}\n'))).rejects.toThrow(/line 1: expected \{"id"/);
    await expect(readDocuments(fileOf('{"id":\n'))).rejects.toThrow(/line 1: /);
    await expect(readDocuments(fileOf('\x1b[2J\u2028\n'))).rejects.toThrow(/^[^\p{Cc}\p{Zl}]+$/u);
    await expect(readDocuments(fileOf('null\n'))).rejects.toThrow(/line 1: expected \{"id"/);
  });
});
