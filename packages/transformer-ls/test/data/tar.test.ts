import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { tarBytes } from '../../../../attacks/archives.js';
import { tarFiles } from '../../src/data/tar.js';
import { writeTarGz } from '../lra/archives.js';
import { scratchFolder } from './scratch-folder.js';

describe('files of a tar archive', () => {
  it('are found behind large ones that are passed over', async () => {
    const path = join(scratchFolder(), 'x.tar.gz');
    const files = {
      'small.txt': Buffer.from('x'),
      'wanted-1': randomBytes(8 << 20),
      'large.bin': randomBytes(12 << 20),
      'wanted-2': randomBytes(3 << 20),
      'last.txt': Buffer.from('y'),
    };
    await writeTarGz(path, files);
    const found: Record<string, Uint8Array> = {};
    for await (const { name, bytes } of tarFiles(path, (one) => one.startsWith('wanted')))
      found[name] = bytes;
    expect(Object.keys(found)).toEqual(['wanted-1', 'wanted-2']);
    for (const [name, bytes] of Object.entries(found))
      expect(Buffer.compare(bytes, files[name as keyof typeof files])).toBe(0);
  });

  it('may be left before the end', async () => {
    const path = join(scratchFolder(), 'x.tar.gz');
    await writeTarGz(path, { a: randomBytes(1000), b: randomBytes(4 << 20) });
    for await (const { name } of tarFiles(path, () => true)) {
      expect(name).toBe('a');
      break;
    }
  });
});

describe('the formats of tar', () => {
  const written = (members: Parameters<typeof tarBytes>[0], cut?: number) => {
    const path = join(scratchFolder(), 'x.tar');
    writeFileSync(path, tarBytes(members).subarray(0, cut));
    return path;
  };
  const read = async (path: string) => {
    const found: [string, string][] = [];
    for await (const { name, bytes } of tarFiles(path, () => true))
      found.push([name, Buffer.from(bytes).toString()]);
    return found;
  };
  const text = Buffer.from('text');
  const note = (record: string) => ({ name: 'note', type: 'x', content: Buffer.from(record) });

  it('long names of pax and GNU, sizes of pax, and folders, links and devices that are passed over', async () => {
    const path = written([
      { name: 'folder/', type: '5' },
      note('19 path=an/é/name\n22 comment=\n= nothing\n'),
      { name: 'short', content: text },
      { name: '././@LongLink', type: 'L', content: Buffer.from(`${'a'.repeat(200)}\0`) },
      { name: 'short', content: text },
      { name: 'link', type: '2', link: '/etc/passwd' },
      { name: 'device', type: '3', size: 4 },
      note('9 size=4\n'),
      { name: 'old', type: '\0', size: 0, content: text },
      { name: 'empty' },
    ]);
    expect(await read(path)).toEqual([
      ['an/é/name', 'text'],
      ['a'.repeat(200), 'text'],
      ['old', 'text'],
      ['empty', ''],
    ]);
  });

  it.each([
    ['11 path=a\n', 'its length is too short'],
    ['999 path=a\n', 'its length is too long'],
    ['path=a\n', 'it has no length'],
    ['13 size=1e99\n', 'its size is no whole number'],
    ['27 size=9007199254740993000\n', 'its size is beyond 2^53'],
    ['0 \n', 'its length is 0'],
    [' 1\n', 'it begins with a blank'],
  ])('a note %j is refused: %s', async (record) => {
    await expect(read(written([note(record), { name: 'a', content: text }]))).rejects.toThrow(
      /x\.tar: is not a sound tar archive: a (?:note|size) before a file is /,
    );
  });

  it('something behind the end, an end that is cut off and a wrong checksum are refused', async () => {
    const whole = tarBytes([{ name: 'a', content: text }]);
    const path = join(scratchFolder(), 'x.tar');
    const readBytes = (bytes: Uint8Array) => {
      writeFileSync(path, bytes);
      return read(path);
    };
    expect(await readBytes(Buffer.concat([whole, Buffer.alloc(10_240)]))).toEqual([['a', 'text']]);
    await expect(readBytes(Buffer.concat([whole, text]))).rejects.toThrow(/something follows its end$/);
    await expect(readBytes(whole.subarray(0, -512))).rejects.toThrow(/it ends too early$/);
    await expect(readBytes(whole.subarray(0, 600))).rejects.toThrow(/it ends too early$/);
    const damaged = Buffer.from(whole);
    damaged[0]! ^= 1;
    await expect(readBytes(damaged)).rejects.toThrow(/the checksum of a header is wrong$/);
  });
});
