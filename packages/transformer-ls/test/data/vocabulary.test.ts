import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  byteVocabulary,
  dictionaryOfCorpus,
  FairseqDictionary,
  MemoryByteCorpus,
  readDictionary,
  writeDictionary,
} from '../../src/data/index.js';
import { scratchFolder } from './scratch-folder.js';

const corpusOf = (bytes: Uint8Array) => new MemoryByteCorpus({ bytes, name: 'sample', split: 'train' });
const dictionaryOf = (text: string, style: 'decimal' | 'characters') =>
  dictionaryOfCorpus(corpusOf(Buffer.from(text)), style);

describe('byteVocabulary', () => {
  it('gives every byte its own value and gets it back', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const tokens = byteVocabulary.encode(bytes);
        expect([...tokens]).toEqual([...bytes]);
        expect(byteVocabulary.decode(tokens)).toEqual(bytes);
      }),
    );
    expect(byteVocabulary.vocabularySize).toBe(256);
  });

  it.each([-1, 256, 1.5, Number.NaN])('refuses the id %d', (id) => {
    expect(() => byteVocabulary.decode([id])).toThrow(`token id ${id} is outside the vocabulary of 256`);
  });
});

describe('FairseqDictionary', () => {
  it('orders by falling frequency, ties as text, and fills up to a multiple of 8', () => {
    // Spelled as numbers, '101' sorts before '97' and '98': the order of text, not of numbers.
    const dictionary = dictionaryOf('ccc\nba\ne', 'decimal');
    expect(dictionary.toText()).toBe('99 3\n101 1\n97 1\n98 1\n');
    expect(dictionary.vocabularySize).toBe(8);
    const five = dictionaryOf('ccc\nba\ned', 'decimal');
    const paddings = Array.from({ length: 7 }, (_, i) => ({ symbol: `madeupword000${i}`, count: 0 }));
    expect(five.entries.slice(5)).toEqual(paddings);
    expect(five.vocabularySize).toBe(16);
  });

  it('has the sizes of the published models', () => {
    const letters = ' abcdefghijklmnopqrstuvwxyz';
    const text8 = dictionaryOf(letters, 'characters');
    expect(text8.vocabularySize).toBe(32);
    expect(text8.entries[0]).toEqual({ symbol: '_', count: 1 });
    // 204 byte values besides newline, as in enwik8.
    const counts = Float64Array.from({ length: 256 }, (_, byte) => (byte <= 204 ? 1 : 0));
    expect(FairseqDictionary.fromCounts(counts, 'decimal').vocabularySize).toBe(208);
  });

  it('takes the newline for the end of a line, and unknown bytes for <unk>', () => {
    const dictionary = dictionaryOf('aab', 'decimal');
    expect([...dictionary.encode(Buffer.from('ab\nz'))]).toEqual([4, 5, 2, 3]);
    expect(Buffer.from(dictionary.decode([4, 5, 2])).toString()).toBe('ab\n');
    expect(Buffer.from(dictionary.decode([0, 4, 3, 6])).toString()).toBe('\uFFFDa\uFFFD\uFFFD');
    expect(() => dictionary.decode([8])).toThrow('token id 8 is outside the vocabulary of 8');
  });

  it('comes back from its own text, and bytes come back from its ids', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1 }), (bytes) => {
        const dictionary = dictionaryOfCorpus(corpusOf(bytes), 'decimal');
        expect(dictionary.decode(dictionary.encode(bytes))).toEqual(bytes);
        if (dictionary.entries.length === 0) return;
        const again = FairseqDictionary.parse(dictionary.toText(), 'decimal');
        expect(again.entries).toEqual(dictionary.entries);
        expect(again.encode(bytes)).toEqual(dictionary.encode(bytes));
      }),
    );
  });

  it('writes and reads a file', async () => {
    const path = join(scratchFolder(), 'dict.txt');
    const dictionary = dictionaryOf('the quick brown fox', 'characters');
    await writeDictionary(path, dictionary);
    expect(readFileSync(path, 'utf8')).toBe(dictionary.toText());
    expect(readDictionary(path, 'characters').entries).toEqual(dictionary.entries);
  });

  it('cannot spell every byte as a character, and says so', () => {
    expect(() => dictionaryOf('a_b', 'characters')).toThrow(
      'byte 95 has no symbol in a dictionary of characters',
    );
    expect(() => dictionaryOf('é', 'characters')).toThrow('byte 169 has no symbol');
  });

  it.each([
    ['', 'd.txt: is empty'],
    ['97 5\n\n98 2\n', `d.txt line 2: expected 'symbol count', found ""`],
    ['97\n', `d.txt line 1: expected 'symbol count', found "97"`],
    ['97 -5\n', 'd.txt line 1: expected'],
    ['97 5.5\n', 'd.txt line 1: expected'],
    ['97 1e5\n', 'd.txt line 1: expected'],
    ['97 99999999999999999999\n', 'd.txt line 1: expected'],
    ['97 5 #fairseq:overwrite\n', 'd.txt line 1: expected'],
    ['97 5\n98 4\n97 3\n', "d.txt line 3: the symbol '97' stands already on line 1"],
    ['256 1\n', 'd.txt line 1: expected a byte as a number 0 to 255 or a madeupword, found "256"'],
    ['007 1\n', 'found "007"'],
    ['a 1\n', 'found "a"'],
    ['10 1\n', "expected no symbol 10, as the newline byte is '</s>'"],
    ['<s> 1\n', 'found "<s>"'],
    ['madeupword 0\n', 'found "madeupword"'],
    ['\u001b[2J 1\n', 'found "\\u001b[2J"'],
    [`${'9'.repeat(100_000)} 1\n`, `found "${'9'.repeat(60)}..."`],
  ])('refuses %j', (text, message) => {
    expect(() => FairseqDictionary.parse(text, 'decimal', 'd.txt')).toThrow(message);
  });

  it('refuses what is no single printable character where characters are expected', () => {
    expect(() => FairseqDictionary.parse('a 5\nab 1\n', 'characters', 'd.txt')).toThrow(
      'd.txt line 2: expected one printable ASCII character or a madeupword, found "ab"',
    );
    expect(() => FairseqDictionary.parse('é 5\n', 'characters', 'd.txt')).toThrow('d.txt line 1');
  });

  it('accepts Windows line ends and a missing last one', () => {
    expect(FairseqDictionary.parse('97 5\r\n98 2', 'decimal').vocabularySize).toBe(6);
  });

  it('refuses files that are no dictionary before reading them', () => {
    const folder = scratchFolder();
    mkdirSync(join(folder, 'dict.txt'));
    writeFileSync(join(folder, 'huge.txt'), Buffer.alloc((1 << 20) + 1, '97 1\n'));
    expect(() => readDictionary(join(folder, 'none.txt'), 'decimal')).toThrow('no such file');
    expect(() => readDictionary(join(folder, 'dict.txt'), 'decimal')).toThrow('expected a dictionary file');
    expect(() => readDictionary(join(folder, 'huge.txt'), 'decimal')).toThrow('at most 1048576');
  });
});
