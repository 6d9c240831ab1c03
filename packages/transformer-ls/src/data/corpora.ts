import { closestName } from '@transformer-ls/formats';
import type { SplitName } from './byte-corpus.js';
import { DataError } from './errors.js';
import type { SymbolStyle } from './vocabulary.js';

/** Where the bytes of a corpus come from: a fixed published file, the user's own text, or installed packages. */
export type CorpusKind = 'fixed' | 'text' | 'embedded';

export interface DownloadSource {
  readonly url: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface CorpusDescriptor {
  readonly name: string;
  readonly kind: CorpusKind;
  readonly title: string;
  readonly source: string;
  readonly licence: string;
  /** What a result on this corpus must not be called. */
  readonly notToBeReportedAs: string;
  readonly vocabulary: string;
  /** How reference mode spells the bytes in its `dict.txt`. */
  readonly dictionaryStyle: SymbolStyle;
  /** Exact size, hash (hex) and bytes per split of a fixed corpus. */
  readonly expected?: {
    readonly bytes: number;
    readonly sha256: string;
    readonly splitBytes: Readonly<Record<SplitName, number>>;
  };
  /** The same file at several addresses, tried in this order. */
  readonly downloads: readonly DownloadSource[];
  /** Names under which the file usually lies about; looked for before anything is said to be missing. */
  readonly localFiles: readonly string[];
}

/** Text and embedded corpora must be at least this long, so that the two parts of 5 % hold 1,000 bytes each. */
export const minimumTextBytes = 20_000;

const publishedSplit = { train: 90_000_000, valid: 5_000_000, test: 5_000_000 };
const wikipediaLicence = 'Wikipedia contributors; GFDL and CC BY-SA 3.0';

// The MD5 of raw enwik8 as published with it is a1fa5ffddb56f4953e226637dabbb36a; the SHA-256 values of enwik8 and
// text8 are given alike by many independent users of the files.
const enwik8Zip = {
  bytes: 36_445_475,
  sha256: '547994d9980ebed1288380d652999f38a14fe291a6247c157c3d33d4932534bc',
};
const text8Zip = {
  bytes: 31_344_016,
  sha256: 'a6640522afe85d1963ad56c05b0ede0a0c000dddc9671758a6cc09b7a38e5232',
};

export const corpora: readonly CorpusDescriptor[] = [
  {
    name: 'enwik8',
    kind: 'fixed',
    title: 'enwik8: the first 100,000,000 bytes of the English Wikipedia dump of 3 March 2006, XML',
    source: 'http://mattmahoney.net/dc/textdata.html',
    licence: wikipediaLicence,
    notToBeReportedAs: 'Only the first 90M / 5M / 5M bytes split is the published one.',
    vocabulary: 'bytes, 256 ids; 205 values occur',
    dictionaryStyle: 'decimal',
    expected: {
      bytes: 100_000_000,
      sha256: '2b49720ec4d78c3c9fabaee6e4179a5e997302b3a70029f30f2d582218c024a8',
      splitBytes: publishedSplit,
    },
    downloads: [
      { url: 'https://mattmahoney.net/dc/enwik8.zip', ...enwik8Zip },
      { url: 'http://mattmahoney.net/dc/enwik8.zip', ...enwik8Zip },
    ],
    localFiles: ['enwik8', 'enwik8.zip', 'enwik8.gz'],
  },
  {
    name: 'text8',
    kind: 'fixed',
    title: 'text8: 100,000,000 characters of English Wikipedia of 2006, only a-z and blanks',
    source: 'http://mattmahoney.net/dc/textdata.html',
    licence: wikipediaLicence,
    notToBeReportedAs: 'Only the first 90M / 5M / 5M bytes split is the published one.',
    vocabulary: 'bytes, 256 ids; 27 values occur',
    dictionaryStyle: 'characters',
    expected: {
      bytes: 100_000_000,
      sha256: '6e890197040d37d85beb962ae1f041ff1d9a9ca8d20c7d99c85027eebf51dca7',
      splitBytes: publishedSplit,
    },
    downloads: [
      { url: 'https://mattmahoney.net/dc/text8.zip', ...text8Zip },
      { url: 'http://mattmahoney.net/dc/text8.zip', ...text8Zip },
    ],
    localFiles: ['text8', 'text8.zip', 'text8.gz'],
  },
  {
    name: 'wikipedia-100m',
    kind: 'fixed',
    title:
      'wikipedia-100m: 100,000,000 bytes of plain text of the first articles of English Wikipedia, about 2015',
    source: 'github.com/jason-feng/wikiVisual, folder text at commit 1c0fac92, cut at 100,000,000 bytes',
    licence: 'Wikipedia contributors; CC BY-SA 3.0',
    notToBeReportedAs: 'This is NOT enwik8 or text8, and numbers on it are not comparable with theirs.',
    vocabulary: 'bytes, 256 ids; 206 values occur',
    dictionaryStyle: 'decimal',
    expected: {
      bytes: 100_000_000,
      sha256: 'fce0658e43ca871e65f25a1aee8445aba71575de6fd36d59f806a1bbb271a312',
      splitBytes: publishedSplit,
    },
    downloads: [],
    localFiles: ['enwiki-plaintext-100M.txt.gz', 'enwiki-plaintext-100M.txt'],
  },
  {
    name: 'text',
    kind: 'text',
    title: 'text: a file, or all text files of a folder, as bytes',
    source: 'given with --from',
    licence: 'that of your text',
    notToBeReportedAs:
      'Numbers on your own text are comparable only on the same bytes; the SHA-256 says which.',
    vocabulary: 'bytes, 256 ids',
    dictionaryStyle: 'decimal',
    downloads: [],
    localFiles: [],
  },
  {
    name: 'embedded',
    kind: 'embedded',
    title: 'embedded: declaration files and documents installed with the dependencies of this project',
    source: 'node_modules; the packages and their versions stand in prepared.json',
    licence: 'that of each package, mostly MIT and Apache-2.0; the text is read where it lies, not passed on',
    notToBeReportedAs:
      'Not a benchmark: the text changes with the installed versions; the SHA-256 says which it was.',
    vocabulary: 'bytes, 256 ids',
    dictionaryStyle: 'decimal',
    downloads: [],
    localFiles: [],
  },
];

/** Finds a corpus by name; a name that does not exist is a DataError with the nearest one that does. */
export function corpusDescriptor(name: string): CorpusDescriptor {
  const found = corpora.find((corpus) => corpus.name === name);
  if (found !== undefined) return found;
  const names = corpora.map((corpus) => corpus.name);
  const near = closestName(name, names);
  const hint = near === undefined ? '' : `; did you mean '${near}'?`;
  throw new DataError(
    `there is no corpus ${JSON.stringify(name)}, expected one of ${names.join(', ')}${hint}`,
  );
}

/** Byte range [start, end) of each split. */
export type SplitRanges = Readonly<Record<SplitName, { readonly start: number; readonly end: number }>>;

/** The published cut of a fixed corpus; else 90 % / 5 % / 5 % by bytes, from the front. */
export function splitRanges(corpus: CorpusDescriptor, bytes: number): SplitRanges {
  if (corpus.expected === undefined && bytes < minimumTextBytes) {
    throw new DataError(
      `${corpus.name}: ${bytes} bytes are too few, at least ${minimumTextBytes} are needed to hold out 5 % twice`,
    );
  }
  const held = Math.floor(bytes / 20);
  const { train, valid, test } = corpus.expected?.splitBytes ?? {
    train: bytes - 2 * held,
    valid: held,
    test: held,
  };
  return {
    train: { start: 0, end: train },
    valid: { start: train, end: train + valid },
    test: { start: train + valid, end: train + valid + test },
  };
}
