import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = new URL('../../', import.meta.url);
const read = (path: string) => readFileSync(fileURLToPath(new URL(path, root)), 'utf8');

/** The value of a constant that is written as a number, or as products, powers and differences of some. */
function constantIn(path: string, name: string): number {
  const [, text] = new RegExp(`^(?:export )?const ${name} = ([\\d\\s_e*<-]+);`, 'm').exec(read(path)) ?? [];
  if (text === undefined) throw new Error(`${path} holds no number ${name}`);
  return Number(new Function(`return ${text}`)());
}

it('docs/limits.md agrees with the code', () => {
  const rows = [...read('docs/limits.md').matchAll(/^\| `(\w+)` \| `([^`/]+)\/([^`]+)` \| ([\d,]+) \|/gm)];
  expect(rows.length).toBeGreaterThan(50);
  for (const [, name, pack, path, written] of rows) {
    const limit = constantIn(`packages/${pack}/src/${path}`, name!);
    expect([name, path, written]).toEqual([name, path, limit.toLocaleString('en-US')]);
  }
});

it('docs/limits.md leaves no limit of the dashboard out', () => {
  const source = 'transformer-ls/src/dashboard/limits.ts';
  const names = [...read(`packages/${source}`).matchAll(/^export const ([A-Z_]+) = [\d_]/gm)];
  expect(names.length).toBeGreaterThan(10);
  const page = read('docs/limits.md');
  for (const [, name] of names) expect(page).toContain(`| \`${name}\` | \`${source.replace('src/', '')}\` |`);
});
