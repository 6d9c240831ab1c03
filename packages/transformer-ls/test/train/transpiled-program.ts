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
  transpileRuntime(folder);
  transpile(join(packages, 'torch/src'), join(ours, 'torch/src'));
  writeManifest(join(ours, 'torch'), {
    '.': './src/index.js',
    './toolchain': './scripts/toolchain.mjs',
    './build': './scripts/build-native.mjs',
    './doctor': './scripts/doctor.mjs',
  });
  // Linked, not copied: it looks for the built bridge beside itself.
  symlinkSync(join(packages, 'torch/scripts'), join(ours, 'torch/scripts'));
  for (const name of dependencies()) link(join(installed, name), join(modules, name));
  const program = join(folder, 'transformer-ls');
  transpile(join(packages, 'transformer-ls/src'), join(program, 'dist'));
  cpSync(join(packages, 'transformer-ls/package.json'), join(program, 'package.json'));
  return join(program, 'dist/cli');
}

/** The runtime alone, without an engine, as a package in `folder`. */
export function transpileRuntime(folder: string): void {
  const ours = join(folder, 'node_modules/@transformer-ls');
  transpile(join(packages, 'formats/src'), join(ours, 'formats/src'));
  writeManifest(join(ours, 'formats'), { '.': './src/index.js', './onnx': './src/onnx/index.js' });
  transpile(join(packages, 'runtime/src'), join(ours, 'runtime/src'));
  writeManifest(join(ours, 'runtime'), './src/index.js', { '#platform': './src/platform-node.js' });
}

/** The packages of others that the program needs. */
function dependencies(): string[] {
  const names = ['formats', 'runtime', 'transformer-ls'].flatMap((name) => {
    const text = readFileSync(join(packages, name, 'package.json'), 'utf8');
    const { dependencies, optionalDependencies, peerDependencies } = JSON.parse(text) as Record<
      string,
      object
    >;
    return Object.keys({ ...dependencies, ...optionalDependencies, ...peerDependencies });
  });
  return [...new Set(names)].filter((name) => !name.startsWith('@transformer-ls/'));
}

function link(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  symlinkSync(from, to);
}

function writeManifest(folder: string, exports: string | object, imports: object = {}): void {
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module', exports, imports }));
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
