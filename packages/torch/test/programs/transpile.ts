/**
 * Test programs that need a process of their own (flags of Node, a crash to survive) run the TypeScript sources all the
 * same: they are stripped of their types into a temporary folder, so that a stale `dist` can hide nothing.
 */
import { spawn } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const packageFolder = fileURLToPath(new URL('../..', import.meta.url));

/** A folder with `src/index.js` and the rest of the package; call `remove` when done. */
export function transpiledSources(): { index: string; folder: string; remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'torch-sources-'));
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  symlinkSync(join(packageFolder, 'scripts'), join(folder, 'scripts'));
  const options = {
    module: ts.ModuleKind.ESNext,
    target: ts.ScriptTarget.ES2022,
    verbatimModuleSyntax: true,
  };
  for (const name of readdirSync(join(packageFolder, 'src'), { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts')) continue;
    const target = join(folder, 'src', name.replace(/\.ts$/, '.js'));
    mkdirSync(join(target, '..'), { recursive: true });
    const source = readFileSync(join(packageFolder, 'src', name), 'utf8');
    writeFileSync(
      target,
      ts.transpileModule(source, { fileName: name, compilerOptions: options }).outputText,
    );
  }
  return { index: join(folder, 'src/index.js'), folder, remove: () => rmSync(folder, { recursive: true }) };
}

export interface Ended {
  code: number | null;
  signal: string | null;
  output: string;
}

/** Runs one of the programs in this folder to its end; what it printed on both streams comes back together. */
export function runProgram(
  name: string,
  args: readonly string[],
  flags: readonly string[] = [],
): Promise<Ended> {
  const path = fileURLToPath(new URL(name, import.meta.url));
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, [...flags, path, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (text) => {
        output += text;
      });
    child.once('error', fail);
    child.once('close', (code, signal) => done({ code, signal, output }));
  });
}
