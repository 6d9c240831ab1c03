import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';

const packages = fileURLToPath(new URL('../../../', import.meta.url));

/**
 * Writes the sources that run folders are made of as plain JavaScript into `folder`, for child processes to import:
 * they run what stands in the sources now, whatever was built before. Returns the address of `src/run/`.
 */
export function transpileRunSources(folder: string): string {
  for (const part of ['run', 'text']) {
    transpile(join(packages, 'transformer-ls/src', part), join(folder, 'src', part));
  }
  const formats = join(folder, 'node_modules/@transformer-ls/formats');
  transpile(join(packages, 'formats/src'), formats);
  writeFileSync(join(formats, 'package.json'), '{"type":"module","exports":"./index.js"}');
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  return pathToFileURL(join(folder, 'src/run/')).href;
}

function transpile(from: string, to: string): void {
  const compilerOptions = {
    module: ts.ModuleKind.ESNext,
    target: ts.ScriptTarget.ES2022,
    verbatimModuleSyntax: true,
  };
  for (const name of readdirSync(from, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts')) continue;
    const target = join(to, name.replace(/\.ts$/, '.js'));
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(
      target,
      ts.transpileModule(readFileSync(join(from, name), 'utf8'), { compilerOptions }).outputText,
    );
  }
}
