// Every program in docs/memory.md runs as it stands there.

import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { transpiledSources } from './programs/transpile.js';

const page = readFileSync(fileURLToPath(new URL('../../../docs/memory.md', import.meta.url)), 'utf8');
const programs = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map((match) => match[1]!);

let sources: ReturnType<typeof transpiledSources>;
beforeAll(() => {
  sources = transpiledSources();
});
afterAll(() => sources.remove());

test('the page has programs', () => expect(programs.length).toBeGreaterThanOrEqual(5));

test.each(programs.map((program, i) => [i + 1, program] as const))('program %i', (i, program) => {
  const compilerOptions = {
    module: ts.ModuleKind.ESNext,
    target: ts.ScriptTarget.ES2022,
    verbatimModuleSyntax: true,
  };
  const { outputText } = ts.transpileModule(program, { fileName: 'program.ts', compilerOptions });
  const path = join(sources.folder, `program-${i}.js`);
  writeFileSync(path, outputText.replace("'@transformer-ls/torch'", `'${pathToFileURL(sources.index)}'`));
  const ended = spawnSync(process.execPath, [path], { encoding: 'utf8' });
  expect([ended.status, ended.stderr], program).toEqual([0, '']);
});
