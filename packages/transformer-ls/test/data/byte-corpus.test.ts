import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ByteCorpus, FileByteCorpus, MemoryByteCorpus } from '../../src/data/index.js';
import { scratchFolder } from './scratch-folder.js';

const bytes = Uint8Array.from({ length: 1000 }, (_, i) => (i * 7) % 251);

function fileCorpus(start = 100, end = 900): FileByteCorpus {
  const path = join(scratchFolder(), 'data.bin');
  writeFileSync(path, bytes);
  return new FileByteCorpus({ path, name: 'sample', split: 'valid', start, end, fingerprint: 'abc' });
}

const memoryCorpus = () =>
  new MemoryByteCorpus({ bytes: bytes.slice(100, 900), name: 'sample', split: 'valid', fingerprint: 'abc' });

describe.each<[string, () => ByteCorpus]>([
  ['file', () => fileCorpus()],
  ['memory', memoryCorpus],
])('a %s corpus', (_, make) => {
  it('says what it is', () => {
    const corpus = make();
    const { name, split, length, fingerprint } = corpus;
    expect({ name, split, length, fingerprint }).toEqual({
      name: 'sample',
      split: 'valid',
      length: 800,
      fingerprint: 'abc',
    });
    corpus.close();
  });

  it('reads any range of its part and nothing else', () => {
    const corpus = make();
    fc.assert(
      fc.property(fc.nat(800), fc.nat(800), (a, b) => {
        const [from, to] = a < b ? [a, b] : [b, a];
        expect(corpus.read(from, to - from)).toEqual(bytes.slice(100 + from, 100 + to));
      }),
    );
    corpus.close();
  });

  it('reads into the start of a given buffer', () => {
    const corpus = make();
    const buffer = new Uint8Array(10).fill(255);
    expect(corpus.read(5, 3, buffer)).toEqual(bytes.slice(105, 108));
    expect([...buffer]).toEqual([...bytes.slice(105, 108), ...Array(7).fill(255)]);
    expect(() => corpus.read(0, 11, buffer)).toThrow('a buffer of 10 bytes cannot take 11 bytes');
    corpus.close();
  });

  it.each([
    [-1, 5],
    [799, 2],
    [0, 801],
    [0.5, 1],
    [0, -1],
    [Number.NaN, 1],
  ])('refuses bytes from %d, length %d', (offset, length) => {
    const corpus = make();
    expect(() => corpus.read(offset, length)).toThrow(
      /sample valid: bytes .* outside the split of 800 bytes/,
    );
    corpus.close();
  });
});

describe('a file corpus', () => {
  it('refuses reads after close, and closes twice without harm', () => {
    const corpus = fileCorpus();
    corpus.close();
    corpus.close();
    expect(() => corpus.read(0, 1)).toThrow('sample valid: read after close');
  });

  it('names a missing file, a folder and a file that is too short', () => {
    const folder = scratchFolder();
    const range = { name: 'sample', split: 'train', start: 0, end: 5 } as const;
    expect(() => new FileByteCorpus({ ...range, path: join(folder, 'none') })).toThrow(/none: no such file/);
    expect(() => new FileByteCorpus({ ...range, path: folder })).toThrow('it is a folder, expected a file');
    writeFileSync(join(folder, 'four'), 'four');
    expect(() => new FileByteCorpus({ ...range, path: join(folder, 'four') })).toThrow(
      'it has 4 bytes, expected at least 5',
    );
    expect(() => new FileByteCorpus({ ...range, path: folder, start: 6 })).toThrow('[6, 5) is not a range');
  });

  it('notices a file that shrinks while it is open', () => {
    const path = join(scratchFolder(), 'data.bin');
    writeFileSync(path, bytes);
    const corpus = new FileByteCorpus({ path, name: 'sample', split: 'train', start: 0, end: 1000 });
    truncateSync(path, 500);
    expect(() => corpus.read(400, 200)).toThrow('ended at byte 500');
    corpus.close();
  });
});
