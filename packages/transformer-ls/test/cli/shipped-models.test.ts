// The models that come with the package, through the commands that take them by name, and as ONNX in the runtime.
import { existsSync, readdirSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openSafetensors } from '@transformer-ls/formats';
import { loadImageClassifier, loadLanguageModel, loadTextClassifier } from '@transformer-ls/runtime';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fileSource } from '../../src/run/file-source.js';
import { type Program, program } from './program.js';

const root = fileURLToPath(new URL('../../../../', import.meta.url));
const models = join(root, 'models');
const names = readdirSync(models).filter((name) => statSync(join(models, name)).isDirectory());
const BOAT = join(root, 'docs/images/boat.png');
const TREE = '[MAX 2 [MIN 8 6 ] 9 [SM 3 4 5 ] ]';
const REVIEW = 'A wonderful film with wonderful actors. I loved every minute, and so will you.';
const MOST_BYTES = 16e6;

let tls: Program;
beforeAll(() => {
  tls = program();
  symlinkSync(models, join(tls.folder, 'program/transformer-ls/models'));
});
afterAll(() => tls.remove());

async function ran(...args: string[]): Promise<string> {
  const { code, out, error } = await tls.run(args);
  expect(code, error).toBe(0);
  return out;
}

describe('shipped models', () => {
  it('are a language model of Wikipedia, one of declarations, and classifiers of trees, reviews and pictures', () => {
    expect(names.sort()).toEqual(['declarations', 'film-reviews', 'listops', 'small-pictures', 'wikipedia']);
  });

  it.each(names)('%s is small, in half precision, and has a card and an export', async (name) => {
    const folder = join(models, name);
    const files = readdirSync(folder, { recursive: true }).map((file) =>
      statSync(join(folder, String(file))),
    );
    expect(files.reduce((total, { size }) => total + size, 0)).toBeLessThan(MOST_BYTES);
    const card = readFileSync(join(folder, 'README.md'), 'utf8');
    for (const heading of ['Data', 'Training', 'Figures', 'Limits'])
      expect(card).toContain(`## ${heading}\n`);
    expect(existsSync(join(folder, 'onnx/manifest.json'))).toBe(true);
    const source = await fileSource(join(folder, 'model.safetensors'));
    const { entries } = await openSafetensors(source);
    await source.close();
    expect(new Set([...entries.values()].map(({ dtype }) => dtype))).toEqual(new Set(['F16']));
  });

  it.each(['wikipedia', 'declarations'])(
    '%s writes the same text with libtorch and without',
    async (name) => {
      const settings = ['--temperature', '0.5', '--seed', '3', '--tokens', '60'];
      const written = await ran('generate', name, '--prompt', 'The ', ...settings);
      const model = await loadLanguageModel(join(models, name, 'onnx'));
      let text = '';
      for await (const piece of model.generate('The ', { maxTokens: 60, temperature: 0.5, seed: 3 }))
        text += piece;
      await model.dispose();
      // The exported weights are rounded in the same way, so only rounding of sums could tell the two apart.
      expect(written).toContain(text);
      expect(text).toMatch(/[a-z]{2,} [a-z]{2,}/);
    },
  );

  it('listops reads trees, not their bytes', async () => {
    const record = JSON.parse(await ran('classify', 'listops', '--text', TREE, '--json'));
    const model = await loadTextClassifier(join(models, 'listops/onnx'));
    const { label, tokens } = await model.classify(TREE);
    await model.dispose();
    expect(label).toBe(record.label);
    expect([tokens, record.tokens]).toEqual([[10], [10]]);
  });

  it('film-reviews tells a warm review', async () => {
    expect(await ran('classify', 'film-reviews', '--text', REVIEW)).toMatch(/^positive\n/);
    const model = await loadTextClassifier(join(models, 'film-reviews/onnx'));
    expect((await model.classify(REVIEW)).label).toBe('positive');
    await model.dispose();
  });

  it('small-pictures sees a ship', async () => {
    expect(await ran('classify', 'small-pictures', BOAT)).toMatch(/ship/);
    const { data, info } = await sharp(BOAT).removeAlpha().raw().toBuffer({ resolveWithObject: true });
    const model = await loadImageClassifier(join(models, 'small-pictures/onnx'));
    const { label } = await model.classify({ width: info.width, height: info.height, data });
    await model.dispose();
    expect(label).toBe('ship');
  });

  it('are told apart from what does not exist', async () => {
    const { code, error } = await tls.run(['generate', 'wikipedai', '--prompt', 'a']);
    expect(code).not.toBe(0);
    expect(error).toContain('wikipedai: no such file or folder; did you mean wikipedia?');
  });
});
