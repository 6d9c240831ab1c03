import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { embeddedText, prepareCorpus } from '../../src/data/index.js';
import { scratchFolder } from './scratch-folder.js';

/** Lays out a package below `folder/node_modules`. */
function install(folder: string, name: string, files: Record<string, string>): void {
  const home = join(folder, 'node_modules', name);
  for (const [file, text] of Object.entries({ 'package.json': '{"version":"1.2.3"}', ...files })) {
    mkdirSync(join(home, file, '..'), { recursive: true });
    writeFileSync(join(home, file), text);
  }
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const bySha256 = (a: string, b: string) => (sha256(a) < sha256(b) ? -1 : 1);
const long = (letter: string) => `${letter.repeat(1_100_000)}\n`;

describe('the embedded corpus', () => {
  it('takes declarations and documents in pieces, in the order of their SHA-256, each content once, without licences and code', async () => {
    const folder = scratchFolder();
    install(folder, 'typescript', {
      'lib/b.d.ts': long('b'),
      'lib/a.d.mts': long('a'),
      'lib/copy of a.d.ts': long('a'),
      'lib/lines.d.ts': `${'x'.repeat(999)}\n`.repeat(20),
      'LICENSE.md': 'licence',
      'ThirdPartyNotices.md': 'notice',
      'lib/code.js': 'code',
      'lib/source.ts': 'source',
      'node_modules/inner/README.md': 'inner',
    });
    install(folder, 'commander', { 'Readme.md': 'read me' });
    install(folder, 'left-pad', { 'README.md': 'not ours' });
    const deep = join(folder, 'packages', 'transformer-ls', 'src');
    mkdirSync(deep, { recursive: true });
    const text = await embeddedText(deep);
    const lines = (count: number) => `${'x'.repeat(999)}\n`.repeat(count);
    const pieces = [long('b'), long('a'), lines(17), lines(3), 'read me\n'];
    const expected = pieces.sort(bySha256).join('');
    expect(text.bytes.equals(Buffer.from(expected))).toBe(true);
    expect(text.sha256).toBe(sha256(expected));
    expect([text.files, text.duplicates]).toEqual([4, 1]);
    expect(text.packages).toEqual(['commander@1.2.3', 'typescript@1.2.3']);
  });

  it('says what it found when that is too little', async () => {
    const folder = scratchFolder();
    install(folder, 'commander', { 'Readme.md': 'read me' });
    await expect(embeddedText(folder)).rejects.toThrow(
      /^embedded: found 8 bytes \(.*commander@1\.2\.3.*\) in node_modules above .*, expected at least 2000000; run 'npm ci'/,
    );
  });

  it('gives several megabytes of text from this installation, the same each time', async () => {
    const folder = scratchFolder();
    const prepared = await prepareCorpus('embedded', { folder });
    expect(prepared.bytes).toBeGreaterThan(4_000_000);
    expect(prepared.source).toContain('typescript@');
    expect(prepared.notes.files).toBeGreaterThan(100);
    expect(await prepareCorpus('embedded', { folder, verify: true })).toEqual(prepared);
    expect(readdirSync(folder)).toEqual(['embedded']);
  });

  it('takes no --from', async () => {
    await expect(prepareCorpus('embedded', { folder: scratchFolder(), from: 'my.txt' })).rejects.toThrow(
      "embedded takes no --from; to use my.txt, take the corpus 'text'",
    );
  });
});
