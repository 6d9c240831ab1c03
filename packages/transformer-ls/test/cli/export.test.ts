// The command as a user runs it.

import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { exportedModelSchema, parseConfigText, parseSafetensors } from '@transformer-ls/formats';
import { noGrad } from '@transformer-ls/torch';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { syntheticBytes } from '../../src/data/synthetic.js';
import { saveLanguageModel } from '../../src/models/language-model/weights.js';
import { writeModelFolder } from '../../src/weights/model-folder.js';
import { smallLanguageModel } from '../export/small-exports.js';
import { tinyVilLs, tinyVilLsEntries } from '../import/saved-models.js';
import { type Ended, ended, type Program, program } from './program.js';

let tls: Program;
const run = (...args: string[]): Promise<Ended> => tls.run(['export', ...args]);
const at = (...names: string[]) => join(tls.folder, ...names);

function manifestOf(folder: string) {
  return parseConfigText(exportedModelSchema, readFileSync(at(folder, 'manifest.json'), 'utf8'), folder);
}

beforeAll(async () => {
  tls = program();
  const model = smallLanguageModel();
  await saveLanguageModel(at('small'), model);
  model.dispose();
  const config = tinyVilLs();
  await writeModelFolder(
    at('pictures'),
    { config, tensors: tinyVilLsEntries(config), texts: new Map() },
    true,
  );
  writeFileSync(at('text.txt'), syntheticBytes('pattern', { bytes: 60_000, seed: 1, distance: 100 }));
  const sizes = ['--model', 'debug', '--batch', '2', '--segment', '64', '--set', 'schedule.warmupSteps=1'];
  const trained = await tls.run([
    ...['train', 'text/small', '--from', 'text.txt', ...sizes, '--out', 'runs/first'],
    ...['--steps', '2', '--set', 'evaluateEverySteps=1', '--set', 'evaluateTokens=256'],
  ]);
  expect(trained.code, trained.error).toBe(0);
});
afterAll(() => tls.remove());

describe('export', () => {
  it('writes a run as ONNX, says what it wrote and how far it is from libtorch', async () => {
    const { code, out, error } = await run('runs/first', '--out', 'exported/first', '--threads', '1');
    expect(code, error).toBe(0);
    expect(out).toMatch(/^exported\/first: language-model first, [\d.]+ KiB, weights in float32\n/);
    expect(out).toMatch(/^ {2}step\.onnx +[\d.]+ KiB$/m);
    expect(out).toMatch(
      /^beside libtorch, largest difference over the largest number of a result \(at most \d\.\de-\d\):$/m,
    );
    expect(out).toMatch(/^ {2}step\.onnx, B 1, position 0: \d\.\de-\d$/m);
    expect(error).toBe(
      ['recording step', 'recording block', 'comparing with libtorch']
        .map((line) => `transformer-ls export: ${line}\n`)
        .join(''),
    );
    const manifest = manifestOf('exported/first');
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
      version: string;
    };
    const [best] = readdirSync(at('runs/first/best'));
    const weights = readFileSync(at('runs/first/best', best!, 'model.safetensors'));
    expect(manifest).toMatchObject({
      name: 'first',
      weights: 'float32',
      provenance: {
        source: 'first',
        step: Number(/\d+/.exec(best!)![0]),
        data: 'text',
        weightsSha256: createHash('sha256').update(weights).digest('hex'),
      },
    });
    expect(manifest.provenance.exported).toMatch(
      new RegExp(`^\\d{4}-\\d\\d-\\d\\d by transformer-ls ${version}$`),
    );
    expect(readdirSync(at('exported/first')).sort()).toEqual([
      'block.onnx',
      'manifest.json',
      'step.onnx',
      'weights.bin',
    ]);
  });

  it('prints its report as JSON, and names the model as it is told', async () => {
    const { code, out } = await run('small', '--out', 'json', '--name', 'Tiny', '--json');
    expect(code).toBe(0);
    const report = JSON.parse(out);
    expect(report).toMatchObject({ folder: 'json', manifest: { name: 'Tiny', kind: 'language-model' } });
    expect(report.manifest).toEqual(JSON.parse(readFileSync(at('json/manifest.json'), 'utf8')));
    expect(report.manifest.provenance).toMatchObject({ source: 'small', step: null, data: null });
  });

  it('says of fewer bits what they cost', async () => {
    const { code, out } = await run('small', '--out', 'bytes', '--weights', 'int8');
    expect(code).toBe(0);
    expect(out).toMatch(
      /^beside libtorch with float32 weights, the graphs with int8 weights are off by at most [\d.]+ % of the largest number of a result:$/m,
    );
    expect(manifestOf('bytes').weights).toBe('int8');
  });

  it('replaces an earlier export, and nothing else', async () => {
    expect((await run('small', '--out', 'again')).code).toBe(0);
    // What an export that was interrupted leaves behind.
    writeFileSync(at('again/.tmp-manifest.json-1-abc'), '{');
    expect((await run('pictures', '--out', 'again')).code).toBe(0);
    expect(readdirSync(at('again')).sort()).toEqual(['classify.onnx', 'manifest.json', 'weights.bin']);
    expect(manifestOf('again').kind).toBe('image-classifier');
    writeFileSync(at('again/notes.txt'), 'mine');
    const { code, error } = await run('small', '--out', 'again');
    expect({ code, error }).toEqual({
      code: 2,
      error:
        'transformer-ls export: again: expected a new or empty folder or an earlier export, found notes.txt\n',
    });
    expect(manifestOf('again').kind).toBe('image-classifier');
  });

  it('writes a vision model for pictures of another size', async () => {
    const { code, error } = await run('pictures', '--out', 'larger', '--image-size', '48');
    expect(code, error).toBe(0);
    expect(error).toContain('interpolated for 48 x 48: stage 3: ');
    expect(manifestOf('larger')).toMatchObject({ model: { imageHeight: 48, imageWidth: 48 } });
  });

  it('writes a run as one folder that commands take in its place, in half the bytes', async () => {
    const { code, out, error } = await run(
      ...['runs/first', '--format', 'safetensors', '--weights', 'float16', '--out', 'passed-on'],
    );
    expect(code, error).toBe(0);
    expect(out).toMatch(
      /^passed-on: language-model, [\d,]+ weights, off by at most 0\.0\d+ % of the largest\n/,
    );
    expect(readdirSync(at('passed-on')).sort()).toEqual([
      'config.json',
      'model.safetensors',
      'provenance.json',
      'training.json',
    ]);
    const size = (...names: string[]) => readFileSync(at(...names, 'model.safetensors')).length;
    const [best] = readdirSync(at('runs/first/best'));
    expect(size('passed-on') / size('runs/first/best', best!)).toBeLessThan(0.6);
    const text = readFileSync(at('runs/first/config.json'), 'utf8');
    expect(readFileSync(at('passed-on/training.json'), 'utf8')).toBe(text);
    const generated = await tls.run([
      'generate',
      'passed-on',
      '--prompt',
      'a',
      '--tokens',
      '5',
      '--seed',
      '1',
    ]);
    expect(generated.code, generated.error).toBe(0);
    const inspected = await tls.run(['inspect', 'passed-on', '--json']);
    expect(JSON.parse(inspected.out)).toMatchObject({
      kind: 'model',
      facts: { recipe: 'text/small', data: 'text' },
    });
  });

  it('writes weights as they are, and replaces only what it wrote', async () => {
    const again = ['--format', 'safetensors', '--out', 'whole', '--json'];
    expect((await run('runs/first', ...again)).code).toBe(0);
    const { code, out } = await run('small', ...again);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ folder: 'whole', largestChange: 0 });
    expect(readdirSync(at('whole')).sort()).toEqual(['config.json', 'model.safetensors', 'provenance.json']);
    const stored = (folder: string) => parseSafetensors(readFileSync(at(folder, 'model.safetensors')));
    expect(stored('whole').tensors).toEqual(stored('small').tensors);
    const refused = await run('small', '--format', 'safetensors', '--out', 'runs/first');
    expect(refused.code).toBe(1);
    expect(refused.error).toContain(
      'runs/first: expected a model folder, which would be replaced, received one with ',
    );
  });

  it('refuses weights that float16 cannot hold', async () => {
    const model = smallLanguageModel();
    noGrad(() => model.stateDict().get('norm.weight')!.fill_(1e5));
    await saveLanguageModel(at('large'), model);
    model.dispose();
    const args = ['--format', 'safetensors', '--weights', 'float16', '--out', 'half'];
    const { code, error } = await run('large', ...args);
    expect(code).toBe(1);
    expect(error).toBe(
      'transformer-ls export: norm.weight: 100000 is too large for float16, at most 65504; choose float32\n',
    );
    expect(readdirSync(tls.folder)).not.toContain('half');
  });

  it('leaves no manifest where it is interrupted, and can be done again', async () => {
    expect((await run('small', '--out', 'interrupted')).code).toBe(0);
    const child = tls.start(['export', 'small', '--out', 'interrupted']);
    child.stderr!.on('data', (text: Buffer) => {
      if (text.includes('comparing')) child.kill('SIGINT');
    });
    expect((await ended(child)).code).not.toBe(0);
    expect(readdirSync(at('interrupted'))).not.toContain('manifest.json');
    expect((await run('small', '--out', 'interrupted')).code).toBe(0);
    expect(manifestOf('interrupted').kind).toBe('language-model');
  });

  it('writes nothing where the model cannot be exported', async () => {
    mkdirSync(at('broken'));
    const model = smallLanguageModel();
    noGrad(() => model.stateDict().get('norm.weight')!.fill_(Number.NaN));
    await saveLanguageModel(at('broken'), model);
    model.dispose();
    const { code, error } = await run('broken', '--out', 'from-broken');
    expect(code).toBe(1);
    expect(error.trimEnd().split('\n').at(-1)).toContain(
      'transformer-ls export: the graphs with float32 weights give numbers that are not finite',
    );
    expect(readdirSync(at('from-broken'))).toEqual([]);
  });

  it.concurrent.each<[string[], number, string]>([
    [['small'], 2, "required option '--out <folder>' not specified"],
    [['none', '--out', 'x'], 1, 'none: no such file or folder'],
    [['smal', '--out', 'x'], 1, 'did you mean small?'],
    [['small', '--out', 'x', '--weights', 'int4'], 2, 'Allowed choices are float32, float16, int8.'],
    [['small', '--out', 'x', '--format', 'zip'], 2, 'Allowed choices are onnx, safetensors.'],
    [
      ['small', '--out', 'x', '--format', 'safetensors', '--weights', 'int8'],
      2,
      '--weights int8 is for --format onnx',
    ],
    [['small', '--out', 'x', '--format', 'safetensors', '--name', 'n'], 2, '--name is for --format onnx'],
    [['small', '--out', 'x', '--threads', '0'], 2, "Expected a whole number at least 1, received '0'."],
    [
      ['small', '--out', 'x', '--image-size', '32'],
      2,
      '--image-size is for models of pictures; small is a language-model',
    ],
    [['pictures', '--out', 'x', '--image-size', '40'], 1, 'takes no images of 40 x 40'],
    [['pictures', '--out', 'x', '--image-size', 'big'], 2, "received 'big'."],
    [['small', '--out', 'small/config.json'], 1, 'cannot read small/config.json: '],
    [
      ['small', '--out', 'small'],
      2,
      'expected a new or empty folder or an earlier export, found config.json',
    ],
    [['small', '--out', 'small/config.json/x'], 1, 'a part of the path is a file, expected a folder'],
  ])('%j is answered in one line', async (args, expected, message) => {
    const { code, out, error } = await run(...args);
    expect({ code, out }).toEqual({ code: expected, out: '' });
    expect(error).toContain(message);
    expect(error.trimEnd()).not.toContain('\n');
  });
});
