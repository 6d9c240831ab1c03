// Every program for Node in docs/export.md runs as it stands there.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  exportImages,
  exportLanguageModel,
  exportText,
  smallClassifier,
  smallLanguageModel,
  smallVilLs,
} from '../../transformer-ls/test/export/small-exports.js';
import { transpileRuntime } from '../../transformer-ls/test/train/transpiled-program.js';
import { testFolder } from './exported-models.js';

const page = readFileSync(fileURLToPath(new URL('../../../docs/export.md', import.meta.url)), 'utf8');
const programs = [...page.matchAll(/^```js\n(.*?)^```$/gms)].map((match) => match[1]!);
const installed = fileURLToPath(new URL('../../../node_modules', import.meta.url));
const { path, remove } = testFolder();

beforeAll(async () => {
  for (const name of ['first', 'film-reviews', 'pictures'])
    mkdirSync(join(path, 'exported', name), { recursive: true });
  const [first, reviews, pictures] = [smallLanguageModel(), smallClassifier(), smallVilLs()];
  await exportLanguageModel(first, join(path, 'exported/first'));
  await exportText(reviews, join(path, 'exported/film-reviews'));
  await exportImages(pictures, join(path, 'exported/pictures'));
  for (const model of [first, reviews.model, pictures.model]) model.dispose();
  transpileRuntime(path);
  for (const name of ['onnxruntime-node', 'sharp'])
    symlinkSync(join(installed, name), join(path, 'node_modules', name));
  writeFileSync(join(path, 'book.txt'), 'It was a dark and stormy night. '.repeat(300));
  await sharp({ create: { width: 40, height: 30, channels: 3, background: '#4080c0' } })
    .png()
    .toFile(join(path, 'photo.png'));
});
afterAll(remove);

function run(program: string): string {
  writeFileSync(join(path, 'program.mjs'), program);
  const ended = spawnSync(process.execPath, ['program.mjs'], { cwd: path, encoding: 'utf8' });
  expect([ended.status, ended.stderr], program).toEqual([0, '']);
  return ended.stdout;
}

const PRINTED = [
  /\n100 tokens in \d+\.\d\d s, \d+ bytes of memory\n$/,
  /^aborted 9600\n$/,
  /^(no|maybe|yes) 0\.\d{3} 27 tokens read\nlooked at most: \d+\n8 features\n$/,
  /^(class \d 0\.\d{3}\n){3}3 x 3 over \{/,
  /^wrong-kind exported\/first: is a language-model, expected a text-classifier\n$/,
];

test('the page has a program for each', () => expect(programs).toHaveLength(PRINTED.length));

test.each(PRINTED.map((printed, i) => [i + 1, printed] as const))('program %i', (i, printed) => {
  expect(run(programs[i - 1]!)).toMatch(printed);
});

test('the page has every code of an error', () => {
  const source = readFileSync(fileURLToPath(new URL('../src/errors.ts', import.meta.url)), 'utf8');
  const codes = [...source.matchAll(/^ {2}\| '([a-z-]+)'/gm)].map((match) => match[1]!);
  expect(codes.length).toBeGreaterThan(5);
  expect(codes.filter((code) => !page.includes(`| \`${code}\` |`))).toEqual([]);
});
