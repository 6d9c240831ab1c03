/** Tables, lists and pictures of sets. */
import { type Attack, file } from './attack.js';

const parquet = (name: string, tries: string, refusal: RegExp, description: () => Uint8Array): Attack => ({
  name: `parquet-${name}`,
  tries,
  files: file('train.parquet', () => {
    const bytes = description();
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    return Buffer.concat([Buffer.from('PAR1'), bytes, length, Buffer.from('PAR1')]);
  }),
  command: ['images', '@/train.parquet'],
  refusal,
});

const idx = (...numbers: number[]) => {
  const bytes = Buffer.alloc(4 + 4 * numbers.length);
  bytes[2] = 8;
  bytes[3] = numbers.length;
  numbers.forEach((number, i) => {
    bytes.writeUInt32BE(number, 4 + 4 * i);
  });
  return bytes;
};

const idxSet = (name: string, tries: string, refusal: RegExp, content: () => Uint8Array): Attack => ({
  name: `idx-${name}`,
  tries,
  files: () =>
    Object.fromEntries(
      ['train', 'val', 'test'].flatMap((part) => [
        [`${part}-images-idx3-ubyte`, content()],
        [`${part}-labels-idx1-ubyte`, content()],
      ]),
    ),
  command: ['prepare', 'pathfinder32', '--from', '@', '--data-folder', '@/out'],
  refusal,
});

const listOps = (name: string, tries: string, refusal: RegExp, rows: () => string): Attack => ({
  name: `listops-${name}`,
  tries,
  files: () =>
    Object.fromEntries(
      ['train', 'val', 'test'].map((part) => [`basic_${part}.tsv`, `Source\tTarget\n${rows()}`]),
    ),
  command: ['prepare', 'listops', '--from', '@', '--data-folder', '@/out'],
  refusal,
});

/** A PNG that says it has so many pixels, and holds none. */
function emptyPng(width: number, height: number): Buffer {
  const start = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex');
  const size = Buffer.alloc(8);
  size.writeUInt32BE(width, 0);
  size.writeUInt32BE(height, 4);
  return Buffer.concat([
    start,
    size,
    Buffer.from('0802000000', 'hex'),
    Buffer.alloc(4),
    Buffer.from('0000000049454e44ae426082', 'hex'),
  ]);
}

const picture = (
  name: string,
  tries: string,
  refusal: RegExp,
  content: () => Uint8Array | string,
): Attack => ({
  name: `picture-${name}`,
  tries,
  files: file('picture.png', content),
  command: ['decode', '@/picture.png'],
  refusal,
});

export const tableAttacks: readonly Attack[] = [
  parquet(
    'nested-lists',
    'lists of 33 million lists in 40 levels: 250 MB for every five bytes',
    /levels|list of/,
    () =>
      Buffer.concat([
        Buffer.from([0x29]),
        ...Array.from({ length: 40 }, () => Buffer.from([0xf9, 0x80, 0x80, 0x80, 0x0f])),
      ]),
  ),
  parquet(
    'long-number',
    'a whole number of 400 kB, which takes hours to add up',
    /a number has more than/,
    () => Buffer.concat([Buffer.from([0x16]), Buffer.alloc(400_000, 0xff)]),
  ),
  parquet('nested-structures', 'structures in structures, 100,000 deep', /levels/, () =>
    Buffer.alloc(100_000, 0x1c),
  ),
  parquet('long-text', 'a text of 2 GB', /ends too early/, () =>
    Buffer.from([0x18, 0xff, 0xff, 0xff, 0xff, 0x07]),
  ),
  {
    name: 'parquet-length',
    tries: 'a description of 4 GB in a file of 12 bytes',
    files: file('train.parquet', () => Buffer.from('PAR1\xff\xff\xff\xffPAR1', 'latin1')),
    command: ['images', '@/train.parquet'],
    refusal: /description of 4294967295 bytes/,
  },
  idxSet('empty-arrays', 'four thousand million arrays of nothing in 12 bytes', /sizes above 0/, () =>
    idx(2 ** 32 - 1, 0),
  ),
  idxSet('product', 'sizes whose product is small in 64 bits', /bytes after its sizes/, () =>
    idx(2 ** 31, 2 ** 31, 4),
  ),
  idxSet('dimensions', '255 dimensions', /1 to 4 dimensions/, () => Buffer.from([0, 0, 8, 255])),
  listOps('open', 'lists that never end', /open lists/, () => `${'[MAX '.repeat(100_000)}\t1\n`),
  listOps(
    'wide',
    'a list of 300,000 arguments with a wrong value',
    /its value is 1, the label says/,
    () => `[MAX ${'1 '.repeat(300_000)}]\t7\n`,
  ),
  listOps('terminal', 'a word that would move the cursor of a terminal', /\\u001b/, () => '\x1b[2J\x7f\t1\n'),
  {
    name: 'documents-terminal',
    tries: 'a document that is no JSON and would move the cursor of a terminal',
    files: () => ({
      'aan.documents.jsonl': '\x1b[2J\x1b]0;owned\n',
      ...Object.fromEntries(['train', 'val', 'test'].map((part) => [`aan.pairs.${part}.tsv`, '1\ta\tb\n'])),
    }),
    command: ['prepare', 'aan', '--from', '@', '--data-folder', '@/out'],
    refusal: /./,
  },
  {
    name: 'reviews-label',
    tries: 'labels that are none',
    files: () => ({ 'imdb.train.tsv': '256\t1\t1\ttext\n', 'imdb.test.tsv': '1\t1\t1\ttext\n' }),
    command: ['prepare', 'imdb', '--from', '@', '--data-folder', '@/out'],
    refusal: /./,
  },
  {
    name: 'labels-classes',
    tries: 'a class 999,999 in a list of labels, for a table of a million classes',
    files: () => ({ 'a.png': emptyPng(1, 1), 'labels.txt': 'a.png 999999\n' }),
    command: ['images', '@'],
    refusal: /./,
  },
  picture('pixels', 'a PNG of 60 bytes that says it has 100,000 x 100,000 pixels', /cannot be decoded/, () =>
    emptyPng(100_000, 100_000),
  ),
  picture(
    'svg',
    'an SVG that reads a file of the machine',
    /expected JPEG, PNG/,
    () => '<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
  ),
  picture('pdf', 'a PDF for a decoder that nobody asked for', /expected JPEG, PNG/, () => '%PDF-1.7\n'),
];
