// Every program in docs/distributed.md and docs/sequence-parallel.md runs as it stands there.
import { spawnSync } from 'node:child_process';
import { readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { distributedBackends } from '@transformer-ls/torch';
import ts from 'typescript';
import { beforeAll, describe, expect, it } from 'vitest';
import { programFolder } from './parallel-program.js';

let folder: string;
beforeAll(() => {
  folder = dirname(dirname(dirname(programFolder())));
  symlinkSync(join(folder, 'transformer-ls'), join(folder, 'node_modules/transformer-ls'));
});

const programs = ['distributed', 'sequence-parallel'].flatMap((name) => {
  const page = readFileSync(fileURLToPath(new URL(`../../../../docs/${name}.md`, import.meta.url)), 'utf8');
  return [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(
    (match, i) => [`${name}-${i + 1}`, match[1]!] as const,
  );
});

describe.skipIf(!distributedBackends().gloo)('programs of the pages', () => {
  it('are there', () => expect(programs.length).toBeGreaterThanOrEqual(2));

  it.each(programs)('%s', (name, program) => {
    const compilerOptions = {
      module: ts.ModuleKind.ESNext,
      target: ts.ScriptTarget.ES2022,
      verbatimModuleSyntax: true,
    };
    const { outputText } = ts.transpileModule(program, { fileName: 'program.ts', compilerOptions });
    const path = join(folder, `${name}.mjs`);
    writeFileSync(path, outputText);
    const ended = spawnSync(process.execPath, [path], { encoding: 'utf8' });
    expect([ended.status, ended.stderr], program).toEqual([0, '']);
  });
});
