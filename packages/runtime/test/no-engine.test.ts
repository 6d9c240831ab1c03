// A program that has the runtime and no engine, in a process of its own.
import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { exportText, smallClassifier } from '../../transformer-ls/test/export/small-exports.js';
import { transpileRuntime } from '../../transformer-ls/test/train/transpiled-program.js';
import { testFolder } from './exported-models.js';

const scratch = testFolder();
const model = join(scratch.path, 'model');

beforeAll(async () => {
  mkdirSync(model);
  const loaded = smallClassifier();
  await exportText(loaded, model);
  loaded.model.dispose();
  transpileRuntime(scratch.path);
  writeFileSync(
    join(scratch.path, 'main.mjs'),
    `import { loadTextClassifier } from '@transformer-ls/runtime';
try {
  const model = await loadTextClassifier(process.argv[2]);
  console.log(JSON.stringify(await model.classify('A text.')));
} catch ({ name, code, message }) {
  console.log(JSON.stringify({ name, code, message }));
}`,
  );
});
afterAll(scratch.remove);

function answer(): unknown {
  return JSON.parse(
    execFileSync(process.execPath, [join(scratch.path, 'main.mjs'), model], { encoding: 'utf8' }),
  );
}

it('says what is missing and how it is installed, and runs once it is', () => {
  expect(answer()).toEqual({
    name: 'RuntimeError',
    code: 'no-engine',
    message: 'onnxruntime-node is not installed; run: npm install onnxruntime-node@1.30.0',
  });
  const installed = fileURLToPath(new URL('../../../node_modules/onnxruntime-node', import.meta.url));
  symlinkSync(installed, join(scratch.path, 'node_modules/onnxruntime-node'));
  expect(answer()).toMatchObject({ tokens: [7], read: [7] });
});
