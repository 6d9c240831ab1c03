// Hooks of Node's module loader: imports run the TypeScript sources as they are now, whatever was built before.
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const packages = new URL('../../packages/', import.meta.url);
const compilerOptions = {
  module: ts.ModuleKind.ESNext,
  target: ts.ScriptTarget.ES2022,
  verbatimModuleSyntax: true,
};

/** What the packages are called when they import each other. */
const NAMES = {
  '@transformer-ls/formats': 'formats/src/index.ts',
  '@transformer-ls/formats/onnx': 'formats/src/onnx/index.ts',
  '@transformer-ls/torch': 'torch/src/index.ts',
  '@transformer-ls/runtime': 'runtime/src/index.ts',
  '#platform': 'runtime/src/platform-node.ts',
};

export async function resolve(specifier, context, next) {
  const source = NAMES[specifier];
  if (source !== undefined) return { url: new URL(source, packages).href, shortCircuit: true };
  if (specifier.startsWith('.') && specifier.endsWith('.js')) {
    const url = new URL(specifier.replace(/\.js$/, '.ts'), context.parentURL);
    if (existsSync(url)) return { url: url.href, shortCircuit: true };
  }
  return next(specifier, context);
}

export async function load(url, context, next) {
  if (!url.endsWith('.ts')) return next(url, context);
  const fileName = fileURLToPath(url);
  const { outputText } = ts.transpileModule(readFileSync(fileName, 'utf8'), { compilerOptions, fileName });
  return { format: 'module', source: outputText, shortCircuit: true };
}
