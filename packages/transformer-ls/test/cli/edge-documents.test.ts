// Documents at the edge of what there is, through the commands that read them: nothing, one byte, ten megabytes.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { program } from './program.js';

const tls = program();
afterAll(() => tls.remove());
const write = (name: string, bytes: Uint8Array | string) => writeFileSync(join(tls.folder, name), bytes);
const threads = ['--threads', '1'];
/** A model that comes with the project. */
const SHIPPED = fileURLToPath(new URL('../../../../models/film-reviews', import.meta.url));

describe('classify', () => {
  const classify = (file: string) => tls.run(['classify', SHIPPED, file, '--json', ...threads]);

  it('refuses a document of nothing in one line', async () => {
    write('empty.txt', '');
    const { code, out, error } = await classify('empty.txt');
    expect([code, out]).toEqual([1, '']);
    expect(error).toMatch(
      /^transformer-ls classify: empty\.txt: expected a text of at least one token, received none\n$/,
    );
  });

  it.each([0, 10, 128, 255])('reads the single byte %i', async (byte) => {
    write('one.txt', Uint8Array.of(byte));
    const { code, out } = await classify('one.txt');
    expect(code).toBe(0);
    const { probabilities, tokens } = JSON.parse(out);
    expect(tokens).toEqual([1]);
    for (const value of Object.values(probabilities)) expect(value).toBeGreaterThanOrEqual(0);
  });

  it('reads the beginning of ten megabytes and says so', async () => {
    write('long.txt', new Uint8Array(10 * 2 ** 20).fill(97));
    const { code, out } = await classify('long.txt');
    expect(code).toBe(0);
    const { tokens, read } = JSON.parse(out);
    expect(tokens).toEqual([10 * 2 ** 20]);
    expect(read[0]).toBeLessThan(10 * 2 ** 20);
  });
});

describe('prepare', () => {
  const prepare = (file: string) =>
    tls.run(['prepare', 'text', '--from', file, '--data-folder', join(tls.folder, `data of ${file}`)]);

  it.each([
    ['nothing', ''],
    ['one byte', 'a'],
  ])('refuses a text of %s in one line', async (_, text) => {
    write('short.txt', text);
    const { code, out, error } = await prepare('short.txt');
    expect(code).not.toBe(0);
    expect(out).toBe('');
    expect(error).toMatch(/^transformer-ls prepare: [^\n]+\n$/);
  });

  it('takes ten megabytes of one line', async () => {
    write('line.txt', 'ab '.repeat((10 * 2 ** 20) / 3));
    const { code, error } = await prepare('line.txt');
    expect(error).toBe('');
    expect(code).toBe(0);
  });
});
