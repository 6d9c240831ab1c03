/** Archives: bombs, and names that lead out of the folder. */
import { gzipSync } from 'node:zlib';
import { zipBytes } from '../packages/transformer-ls/test/data/zip-bytes.js';
import { type Attack, file } from './attack.js';

const BLOCK = 512;

interface Member {
  readonly name: string;
  readonly type?: string;
  readonly content?: Uint8Array;
  /** Where the header lies. */
  readonly size?: number | string;
  readonly link?: string;
}

/** A tar archive written field by field. */
export function tarBytes(members: readonly Member[]): Buffer {
  const blocks = members.flatMap(
    ({ name, type = '0', content = new Uint8Array(), size = content.length, link = '' }) => {
      const header = Buffer.alloc(BLOCK);
      header.write(name, 0);
      header.write('0000644\x000000000\x000000000\x00', 100);
      header.write(
        typeof size === 'string' ? size : `${size.toString(8).padStart(11, '0')}\x00`,
        124,
        'latin1',
      );
      header.write('00000000000\x00        ', 136);
      header.write(type, 156);
      header.write(link, 157);
      header.write('ustar\x0000', 257);
      const sum = header.reduce((total, byte) => total + byte, 0);
      header.write(`${sum.toString(8).padStart(6, '0')}\x00 `, 148);
      return [header, content, Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK)];
    },
  );
  return Buffer.concat([...blocks, Buffer.alloc(2 * BLOCK)]);
}

const pixel = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC',
  'base64',
);
const pictures = ['images', '@/pictures.tar'];
const review = (content: Uint8Array) => ({ 'aclImdb_v1.tar.gz': content });
const reviews = ['prepare', 'imdb', '--from', '@/aclImdb_v1.tar.gz', '--data-folder', '@/out'];
const ownText = (name: string) => ['prepare', 'text', '--from', `@/${name}`, '--data-folder', '@/out'];

const END_BYTES = 22;

/** With a note for large archives before its end: the list of contents lies at 2^60. */
function beyond(zip: Uint8Array): Buffer {
  const note = Buffer.alloc(20);
  note.write('PK\x06\x07', 'latin1');
  note.writeBigUInt64LE(2n ** 60n, 8);
  note.writeUInt32LE(1, 16);
  const end = zip.length - END_BYTES;
  return Buffer.concat([zip.subarray(0, end), note, zip.subarray(end)]);
}

const letters = (length: number) => Buffer.alloc(length, 'a');

/** `1`, line ends and no blank: each length is read to the end of the note, and moves on by one byte. */
function slowNote(): Buffer {
  const note = Buffer.from('1\n'.repeat(2 ** 18));
  note[note.length - 1] = 32;
  return note;
}

export const archiveAttacks: readonly Attack[] = [
  {
    name: 'tar-traversal',
    tries: 'a picture named ../../evil.png',
    files: file('pictures.tar', () => tarBytes([{ name: '../../a/evil.png', content: pixel }])),
    command: pictures,
    refusal: /leads out of the archive/,
  },
  {
    name: 'tar-absolute',
    tries: 'a picture named /etc/evil.png',
    files: file('pictures.tar', () => tarBytes([{ name: '/etc/evil.png', content: pixel }])),
    command: pictures,
    refusal: /leads out of the archive/,
  },
  {
    name: 'tar-note-traversal',
    tries: 'the same name in a note before a harmless one',
    files: file('pictures.tar', () =>
      tarBytes([
        { name: 'note', type: 'x', content: Buffer.from('25 path=../../a/evil.png\n') },
        { name: 'a/good.png', content: pixel },
      ]),
    ),
    command: pictures,
    refusal: /leads out of the archive/,
  },
  {
    name: 'tar-link',
    tries: 'a link out of the folder that is named like a picture, and one to it',
    files: file('pictures.tar', () =>
      tarBytes([
        { name: 'a/1.png', type: '2', link: '/etc/passwd' },
        { name: 'a/2.png', type: '1', link: 'a/1.png' },
        { name: 'a/3.png', type: '3' },
      ]),
    ),
    command: pictures,
    refusal: /./,
  },
  {
    name: 'tar-claims',
    tries: 'a picture that says it has 2^62 bytes',
    files: file('pictures.tar', () =>
      tarBytes([{ name: 'a/1.png', size: '\x80\0\0\0\x40\0\0\0\0\0\0\0', content: pixel }]),
    ),
    command: pictures,
    refusal: /./,
  },
  {
    name: 'tar-negative',
    tries: 'a size below zero, to read the same file for ever',
    files: file('pictures.tar', () =>
      tarBytes([{ name: 'a/1.png', size: '\xff'.repeat(12), content: pixel }]),
    ),
    command: pictures,
    refusal: /a number in a header is none/,
  },
  {
    name: 'tar-cut',
    tries: 'an archive that ends inside a file',
    files: file('pictures.tar', () => tarBytes([{ name: 'a/1.png', content: pixel }]).subarray(0, 560)),
    command: pictures,
    refusal: /ends too early/,
  },
  {
    name: 'tar-slow-note',
    tries: 'a note of 512 kB that a careless reader works on for minutes, in an archive of 1 kB',
    files: () => review(gzipSync(tarBytes([{ name: 'note', type: 'x', content: slowNote() }]))),
    command: reviews,
    refusal: /a note before a file is damaged/,
  },
  {
    name: 'tar-large-note',
    tries: 'a note of 8 MB before a file',
    files: () => review(gzipSync(tarBytes([{ name: 'note', type: 'x', content: new Uint8Array(2 ** 23) }]))),
    command: reviews,
    refusal: /a note has 8388608 bytes|more than 250 to 1/,
  },
  {
    name: 'tar-bomb',
    tries: 'a review of 40 MB of zeros in 40 kB',
    files: () =>
      review(gzipSync(tarBytes([{ name: 'train/neg/1_1.txt', content: new Uint8Array(40 * 2 ** 20) }]))),
    command: reviews,
    refusal: /more than 250 to 1/,
  },
  {
    name: 'gzip-bomb',
    tries: '40 MB of one letter in 40 kB',
    files: file('text.gz', () => gzipSync(letters(40 * 2 ** 20))),
    command: ownText('text.gz'),
    refusal: /more than 250 to 1/,
  },
  {
    name: 'gzip-in-members',
    tries: 'the same in 40 parts one after the other, each harmless',
    files: file('text.gz', () => Buffer.concat(Array.from({ length: 40 }, () => gzipSync(letters(2 ** 20))))),
    command: ownText('text.gz'),
    refusal: /more than 250 to 1/,
  },
  {
    name: 'zip-bomb',
    tries: '40 MB of zeros that say they are 10 bytes',
    files: file('text.zip', () =>
      zipBytes([{ name: 'text.txt', content: new Uint8Array(40 * 2 ** 20), declaredSize: 10 }]),
    ),
    command: ownText('text.zip'),
    refusal: /./,
  },
  {
    name: 'zip-name',
    tries: 'a text named ../text.txt',
    files: file('text.zip', () => zipBytes([{ name: '../text.txt', content: Buffer.from('text') }])),
    command: ownText('text.zip'),
    refusal: /\.\./,
  },
  {
    name: 'zip-link',
    tries: 'a link to /etc/passwd in place of a text',
    files: file('text.zip', () =>
      zipBytes([{ name: 'text.txt', content: Buffer.from('/etc/passwd'), mode: 0o120777 }]),
    ),
    command: ownText('text.zip'),
    refusal: /link or device/,
  },
  {
    name: 'zip-terminal',
    tries: 'a name that would move the cursor of a terminal',
    files: file('text.zip', () =>
      zipBytes([{ name: '\x1b[2J\x1b]0;owned\x07.txt', content: Buffer.from('text'), declaredCrc: 1 }]),
    ),
    command: ownText('text.zip'),
    refusal: /checksum/,
  },
  {
    name: 'zip-place-beyond',
    tries: 'a list of contents beyond 2^53, which Node throws where nobody catches it',
    files: file('text.zip', () => beyond(zipBytes([{ name: 'text.txt', content: Buffer.from('text') }]))),
    command: ownText('text.zip'),
    refusal: /not a sound zip file/,
  },
  {
    name: 'zip-pictures-traversal',
    tries: 'a picture named ../evil.png in a zip archive',
    files: file('pictures.zip', () => zipBytes([{ name: '../a/evil.png', content: pixel }])),
    command: ['images', '@/pictures.zip'],
    refusal: /\.\./,
  },
];
