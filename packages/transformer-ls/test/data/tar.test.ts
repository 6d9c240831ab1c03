import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
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
