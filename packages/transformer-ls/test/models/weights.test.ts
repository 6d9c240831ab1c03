import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeSafetensors, parseSafetensors } from '@transformer-ls/formats';
import { manualSeed, memoryStats, scope } from '@transformer-ls/torch';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FairseqDictionary } from '../../src/data/vocabulary.js';
import { createLanguageModel } from '../../src/models/language-model/create.js';
import { preset } from '../../src/models/language-model/presets.js';
import {
  findLanguageModel,
  loadLanguageModel,
  saveLanguageModel,
  weightsFile,
} from '../../src/models/language-model/weights.js';
import { writeCheckpoint } from '../../src/run/checkpoint.js';
import { writeJson } from '../../src/run/json.js';
import { recipe } from '../../src/train/recipes.js';

const config = preset('debug');
let scratch = '';
let place = 0;

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'tls weights '));
  manualSeed(3);
  const model = scope(() => createLanguageModel(config));
  await saveLanguageModel(join(scratch, 'model'), model);
  const run = join(scratch, 'run');
  mkdirSync(run);
  writeFileSync(join(run, 'config.json'), writeJson({ ...recipe('embedded/debug') }));
  for (const [folder, step] of [
    ['checkpoints', 20],
    ['checkpoints', 30],
    ['best', 10],
  ] as const) {
    const files = new Map([['model.safetensors', weightsFile(model)]]);
    await writeCheckpoint(join(run, folder), { step, files, state: {} });
  }
  model.dispose();
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

async function copyOf(name: string): Promise<string> {
  const path = join(scratch, `${name}-${place++}`);
  await cp(join(scratch, name), path, { recursive: true });
  return path;
}

async function messageOf(path: string, options = {}): Promise<string> {
  try {
    (await loadLanguageModel(path, options)).model.dispose();
  } catch (error) {
    const { name, message } = error as Error;
    expect(message).not.toContain('\n');
    expect(['WeightsError', 'RunFolderError', 'SafetensorsError', 'ConfigError']).toContain(name);
    return message;
  }
  throw new Error('no error came');
}

describe('loadLanguageModel', () => {
  it.each(['model', 'model/model.safetensors', 'run', 'run/best/step-00000010'])('loads %s', async (path) => {
    const loaded = await loadLanguageModel(join(scratch, path));
    expect(loaded.config).toEqual(config);
    expect(loaded.vocabulary.kind).toBe('bytes');
    const stored = parseSafetensors(readFileSync(join(scratch, 'model/model.safetensors')));
    const weight = loaded.model.stateDict().get('layers.1.ff.fc2.weight')!;
    const { data } = stored.tensors.get('layers.1.ff.fc2.weight')!;
    expect(Buffer.from(weight.toFloat32Array().buffer).equals(data)).toBe(true);
    loaded.model.dispose();
  });

  it('takes the best of a run, or the newest where asked', async () => {
    const path = join(scratch, 'run');
    expect((await findLanguageModel(path)).step).toBe(10);
    expect((await findLanguageModel(path, { choose: 'newest' })).step).toBe(30);
  });

  it('passes over a damaged checkpoint and says so', async () => {
    const path = await copyOf('run');
    truncateSync(join(path, 'best/step-00000010/model.safetensors'), 1000);
    const { step, skipped } = await findLanguageModel(path);
    expect(step).toBe(30);
    expect(skipped).toHaveLength(1);
    expect(skipped[0]).toContain('step-00000010');
  });

  it('builds the position tables for another memory', async () => {
    const { model } = await loadLanguageModel(join(scratch, 'model'), { override: { memoryLength: 4096 } });
    expect(model.namedBuffers().get('chunk_positions')!.shape).toEqual([512, 64]);
    model.dispose();
  });

  it('brings the dictionary of a reference model along', async () => {
    const counts = Array.from({ length: 256 }, (_, byte) => (byte >= 97 && byte <= 122 ? byte : 0));
    const dictionary = FairseqDictionary.fromCounts(counts, 'decimal');
    const { vocabularySize } = dictionary;
    const model = scope(() => createLanguageModel(preset('debug', { mode: 'reference', vocabularySize })));
    const path = join(scratch, 'reference');
    await saveLanguageModel(path, model, dictionary);
    const loaded = await loadLanguageModel(path);
    expect([...loaded.vocabulary.encode(Uint8Array.of(97, 10))]).toEqual([
      ...dictionary.encode(Uint8Array.of(97, 10)),
    ]);
    model.dispose();
    loaded.model.dispose();
    await rm(join(path, 'dict.txt'));
    expect(await messageOf(path)).toContain(
      `expected the model's vocabulary of ${vocabularySize} tokens, found 256`,
    );
  });
});

describe('what cannot be loaded gets one line', () => {
  it('names the neighbour that was meant', async () => {
    expect(await messageOf(join(scratch, 'modle'))).toMatch(
      /no such file or folder; did you mean .*model\?$/,
    );
  });

  it('a folder of something else', async () => {
    mkdirSync(join(scratch, 'other'));
    expect(await messageOf(join(scratch, 'other'))).toContain('expected a run, checkpoint or model folder');
  });

  it('a run without checkpoints', async () => {
    const path = await copyOf('run');
    for (const folder of ['best', 'checkpoints']) await rm(join(path, folder), { recursive: true });
    expect(await messageOf(path)).toContain('no checkpoint has been written here yet');
  });

  it('a run whose checkpoints are all damaged', async () => {
    const path = await copyOf('run');
    for (const name of ['best/step-00000010', 'checkpoints/step-00000020', 'checkpoints/step-00000030'])
      truncateSync(join(path, name, 'model.safetensors'), 100);
    expect(await messageOf(path)).toContain('none of its 3 checkpoints is whole');
  });

  it('a memory that chunks do not divide', async () => {
    const message = await messageOf(join(scratch, 'model'), { override: { memoryLength: 100 } });
    expect(message).toContain('memoryLength: expected a multiple of chunkSize 8, received 100');
  });

  it('a mistyped or hostile configuration', async () => {
    const path = await copyOf('model');
    const change = (from: RegExp, to: string) => {
      const weights = readFileSync(join(path, 'model.safetensors'));
      const { tensors } = parseSafetensors(weights);
      writeFileSync(join(path, 'model.safetensors'), encodeSafetensors(tensors));
      const text = readFileSync(join(scratch, 'model/config.json'), 'utf8');
      writeFileSync(join(path, 'config.json'), text.replace(from, to));
    };
    change(/"layers": 2/, '"layers": 1000000');
    expect(await messageOf(path)).toContain('layers: expected a whole number at least 1 and at most 1000');
    change(/"layers": 2/, '"layers": 1000');
    expect(await messageOf(path)).toContain('expected weights of 1000 layers, found 2');
    change(/"innerDim": 128/, '"innerDim": 2000000000');
    expect(await messageOf(path)).toContain(
      'layers.0.ff.fc1.weight: expected shape [2000000000,64], found [128,64]',
    );
    change(/"memoryLength": 128/, '"memoryLength": 2147483640');
    expect(await messageOf(path)).toContain('of position tables');
    change(/"heads"/, '"haeds"');
    expect(await messageOf(path)).toContain('did you mean heads?');
    change(/^\{/, '{{');
    expect(await messageOf(path)).toContain('config.json');
  });

  it('damaged, foreign, missing and misnamed weights', async () => {
    const path = await copyOf('model');
    const file = join(path, 'model.safetensors');
    const { tensors, metadata } = parseSafetensors(readFileSync(file));
    const write = (change: (copy: typeof tensors) => void) => {
      const copy = new Map(tensors);
      change(copy);
      writeFileSync(file, encodeSafetensors(copy, metadata));
    };
    write((copy) => copy.delete('norm.bias'));
    expect(await messageOf(path)).toContain('missing: norm.bias');
    write((copy) => {
      copy.set('norm.biass', copy.get('norm.bias')!);
      copy.delete('norm.bias');
    });
    expect(await messageOf(path)).toContain('norm.biass (did you mean norm.bias?)');
    write((copy) => copy.set('norm.bias', { dtype: 'F32', shape: [2], data: new Uint8Array(8) }));
    expect(await messageOf(path)).toContain('wrong shape: norm.bias (expected [64], received [2])');
    writeFileSync(file, 'PK this is no safetensors file');
    expect(await messageOf(path)).toContain('model.safetensors: ');
    truncateSync(file, 0);
    expect(await messageOf(path)).toContain('model.safetensors: ');
  });

  it('and leaves no tensor behind', () => {
    expect(memoryStats().liveTensors).toBe(0);
  });
});
