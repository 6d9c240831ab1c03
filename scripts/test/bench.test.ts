import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { CATALOGUE } from '../../benches/all.catalogue.mjs';
import { quickRun, runBench, tableRows } from './run-bench.js';

const benches = fileURLToPath(new URL('../../benches', import.meta.url));

describe('npm run bench', () => {
  it('lists every benchmark that there is, with its question', () => {
    const files = readdirSync(benches).flatMap((file) => /^([^.]+)\.mjs$/.exec(file)?.[1] ?? []);
    expect(Object.keys(CATALOGUE).sort()).toEqual(files.sort());
    const { status, stdout } = runBench();
    expect(status).toBe(0);
    for (const [name, { question }] of Object.entries(CATALOGUE))
      expect(stdout).toMatch(new RegExp(`^ +${name} .*${question.slice(0, 20)}`, 'm'));
  });

  it('says in one line what it does not know', () => {
    expect(runBench('nothing').stderr).toMatch(/^bench: expected all or one of .*, received nothing\n$/);
    expect(runBench('all').stderr).toBe(
      'bench: expected all --out <folder for the results>, received no --out\n',
    );
    expect(runBench('layer-memory', '--cases', 'x').stderr).toMatch(/^--cases: expected .*, received x\n$/);
  });
});

describe('smoke runs', () => {
  it.each(['attention-layer', 'layer-memory', 'streaming-cost'])('%s files numbers', (name) => {
    const { status, stderr, report } = quickRun(name);
    expect(status, stderr).toBe(0);
    const [first] = tableRows(report);
    expect(first).toBeDefined();
    expect(Number(first![1]!.replace(',', ''))).toBeGreaterThan(0);
  });
});
