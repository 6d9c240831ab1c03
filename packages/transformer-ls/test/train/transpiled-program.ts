import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const packages = fileURLToPath(new URL('../../../', import.meta.url));
const installed = join(packages, '../node_modules');

/**
 * The whole program as plain JavaScript in `folder`, for child processes to run: they run what stands in the sources now,
 * whatever was built before. Returns the folder of `cli/`.
 */
export function transpileProgram(folder: string): string {
  const modules = join(folder, 'node_modules');
  const ours = join(modules, '@transformer-ls');
  transpile(join(packages, 'formats/src'), join(ours, 'formats/src'));
  writeFileSync(join(ours, 'formats/package.json'), manifest('./src/index.js'));
  transpile(join(packages, 'torch/src'), join(ours, 'torch/src'));
  writeFileSync(join(ours, 'torch/package.json'), manifest('./src/index.js'));
  // Linked, not copied: it looks for the built bridge beside itself.
  symlinkSync(join(packages, 'torch/scripts'), join(ours, 'torch/scripts'));
  for (const name of dependencies()) symlinkSync(join(installed, name), join(modules, name));
  const program = join(folder, 'transformer-ls');
  transpile(join(packages, 'transformer-ls/src'), join(program, 'dist'));
  cpSync(join(packages, 'transformer-ls/package.json'), join(program, 'package.json'));
  return join(program, 'dist/cli');
}

/** The packages of others that the program needs. */
function dependencies(): string[] {
  const text = readFileSync(join(packages, 'transformer-ls/package.json'), 'utf8');
  const { dependencies, optionalDependencies } = JSON.parse(text) as Record<string, Record<string, string>>;
  return Object.keys({ ...dependencies, ...optionalDependencies }).filter(
    (name) => !name.startsWith('@transformer-ls/'),
  );
}

function manifest(main: string): string {
  return JSON.stringify({ type: 'module', exports: main });
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
    const source = readFileSync(join(from, name), 'utf8');
    writeFileSync(target, ts.transpileModule(source, { fileName: name, compilerOptions }).outputText);
  }
}
