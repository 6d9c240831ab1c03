import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { unpackedBytes } from '../../src/data/index.js';
import { scratchFolder } from './scratch-folder.js';
import { zipBytes } from './zip-bytes.js';

const text = Buffer.from(Array.from({ length: 60_000 }, (_, i) => `line ${i} of many\n`).join(''));

async function unpack(path: string, maxBytes = 1e9): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of unpackedBytes(path, { maxBytes })) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function write(content: Uint8Array | string, name = 'some file'): string {
  const path = join(scratchFolder(), name);
  writeFileSync(path, content);
  return path;
}

async function refusal(path: string, maxBytes?: number): Promise<string> {
  const message = await unpack(path, maxBytes).then(
    () => 'nothing was refused',
    (error: Error) => `${error.name}: ${error.message}`,
  );
  expect(message).not.toMatch(/\p{Cc}/u);
  return message;
}

describe('unpackedBytes', () => {
  it('reads raw files, gzip of one and of several members, and zip with one file, whatever their names', async () => {
    expect(text.equals(await unpack(write(text)))).toBe(true);
    expect(text.equals(await unpack(write(gzipSync(text), 'misnamed.zip')))).toBe(true);
    const twoMembers = Buffer.concat([gzipSync(text.subarray(0, 1000)), gzipSync(text.subarray(1000))]);
    expect(text.equals(await unpack(write(twoMembers)))).toBe(true);
    expect(text.equals(await unpack(write(zipBytes([{ name: 'enwik8', content: text }]))))).toBe(true);
  });

  it('names what is no file, or an empty one', async () => {
    const folder = scratchFolder();
    expect(await refusal(join(folder, 'none'))).toMatch(/DataError: cannot read .*none: no such file/);
    expect(await refusal(folder)).toContain('it is a folder, expected a file');
    expect(await refusal(write(''))).toContain('is empty');
  });

  it.skipIf(process.platform === 'win32')('does not wait for a pipe that nobody writes', async () => {
    const path = join(scratchFolder(), 'pipe');
    execFileSync('mkfifo', [path]);
    expect(await refusal(path)).toContain('it is not a regular file');
  });

  it('names a gzip file that is cut short or damaged', async () => {
    const packed = gzipSync(text);
    expect(await refusal(write(packed.subarray(0, packed.length - 20)))).toContain('is cut short');
    const damaged = Buffer.from(packed);
    damaged.fill(0, 200, 400);
    expect(await refusal(write(damaged))).toContain('is not a sound gzip file');
    const wrongSum = Buffer.from(packed);
    wrongSum[packed.length - 6] = wrongSum[packed.length - 6]! ^ 1;
    expect(await refusal(write(wrongSum))).toContain('incorrect data check');
  });

  it('refuses zip files with no, two, or the wrong kind of entry', async () => {
    const entry = { name: 'a', content: text };
    expect(await refusal(write(zipBytes([])))).toContain('holds 0 entries, expected exactly one file');
    expect(await refusal(write(zipBytes([entry, { ...entry, name: 'b' }])))).toContain('holds 2 entries');
    expect(await refusal(write(zipBytes([{ name: 'a/', content: text }])))).toContain('a/ is a folder');
    expect(await refusal(write(zipBytes([{ ...entry, mode: 0o120777 }])))).toContain('a is a link or device');
    expect(await refusal(write(zipBytes([{ ...entry, flags: 1 }])))).toContain('a is encrypted');
  });

  it.each(['../up', '/absolute', 'c:/drive', 'back\\slash', 'in/../between'])(
    'refuses the entry name %s',
    async (name) => {
      expect(await refusal(write(zipBytes([{ name, content: text }])))).toContain('is not a sound zip file');
    },
  );

  it('keeps control characters of an entry name off the terminal', async () => {
    const name = 'a\n\u001b[2Jb/';
    expect(await refusal(write(zipBytes([{ name, content: text }])))).toContain('is a folder');
  });

  it('does not believe declared sizes and checksums', async () => {
    const entry = { name: 'a', content: text };
    expect(await refusal(write(zipBytes([{ ...entry, declaredSize: 10 }])))).toContain(
      'is not a sound zip file',
    );
    expect(await refusal(write(zipBytes([{ ...entry, declaredSize: 1e9 }])))).toContain(
      'is not a sound zip file',
    );
    expect(await refusal(write(zipBytes([{ ...entry, declaredCrc: 1 }])))).toContain(
      'the checksum of a is wrong',
    );
  });

  it('names a zip file that is cut short', async () => {
    const packed = zipBytes([{ name: 'a', content: text }]);
    expect(await refusal(write(packed.subarray(0, packed.length - 30)))).toContain('is not a sound zip file');
  });

  it('stops at the expected size', async () => {
    expect(await refusal(write(gzipSync(text)), text.length - 1)).toContain(
      `holds more than the expected ${text.length - 1} bytes`,
    );
    expect((await unpack(write(gzipSync(text)), text.length)).length).toBe(text.length);
  });

  it('stops a bomb long before its end', async () => {
    const zeros = Buffer.alloc(64 << 20);
    expect(await refusal(write(gzipSync(zeros)))).toContain('more than 250 to 1 is not text');
    expect(await refusal(write(zipBytes([{ name: 'a', content: zeros }])))).toContain('more than 250 to 1');
  });

  it('stops when told to', async () => {
    const controller = new AbortController();
    const chunks = unpackedBytes(write(text), { maxBytes: 1e9, signal: controller.signal });
    await chunks.next();
    controller.abort();
    await expect(chunks.next()).rejects.toThrow(/aborted/);
  });

  it('a zip in a folder of its own is found with blanks in the path', async () => {
    const folder = join(scratchFolder(), 'with blanks', 'and more');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'x y.zip'), zipBytes([{ name: 'x y', content: text }]));
    expect(text.equals(await unpack(join(folder, 'x y.zip')))).toBe(true);
  });
});
