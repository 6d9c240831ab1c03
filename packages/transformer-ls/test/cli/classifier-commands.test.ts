// `classify` and `evaluate` of classifiers as a user runs them.
import { copyFileSync, cpSync, existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLanguageModel } from '../../src/models/language-model/create.js';
import { preset } from '../../src/models/language-model/presets.js';
import { saveLanguageModel } from '../../src/models/language-model/weights.js';
import { trainSmallRun, writeSmallSet } from '../lra/small-runs.js';
import { ended, type Program, program } from './program.js';

let tls: Program;
const inside = (name: string) => join(tls.folder, name);
const write = (name: string, content: string | Uint8Array) => writeFileSync(inside(name), content);

beforeAll(async () => {
  tls = program();
  const data = inside('data');
  for (const name of ['listops', 'listops-brackets', 'imdb', 'aan'] as const)
    (await writeSmallSet(data, name)).close();
  await trainSmallRun(inside('reviews'), data, 'imdb', { steps: 60 });
  await trainSmallRun(inside('trees'), data, 'listops');
  await trainSmallRun(inside('bracket-trees'), data, 'listops-brackets', { mode: 'reference' });
  await trainSmallRun(inside('pairs'), data, 'aan', { attention: 'full' });
  await writeLanguageModel(inside('language'));
  (await writeSmallSet(inside('large data'), 'imdb', { train: 10_000, valid: 1, test: 1 })).close();
  write('good.txt', 'good lovely film good');
  write('bad.txt', 'bad awful film bad');
  write('tree.txt', '[MAX 4 [MIN 7\n2 ]\t1 ]\n');
  write('empty.txt', '');
});
afterAll(() => tls.remove());

/** With random weights: enough to be no classifier. */
async function writeLanguageModel(folder: string): Promise<void> {
  const model = createLanguageModel(preset('debug'));
  await saveLanguageModel(folder, model);
  model.dispose();
}

describe('classify', () => {
  const classify = (...args: string[]) => tls.run(['classify', ...args, '--threads', '1']);

  it('reads a file, a flag or standard input alike', async () => {
    const fromFile = await classify('reviews', 'good.txt');
    expect(fromFile.error).toBe('');
    expect(fromFile.out).toMatch(
      /^positive\n {2}negative +\d+\.\d %( █+)?\n {2}positive +\d+\.\d % {2}█+\n$/,
    );
    expect((await classify('reviews', '--text', 'good lovely film good')).out).toBe(fromFile.out);
    const args = ['classify', 'reviews', '--threads', '1'];
    expect((await tls.run(args, 'good lovely film good')).out).toBe(fromFile.out);
    expect((await classify('reviews', 'bad.txt')).out).toMatch(/^negative\n/);
  });

  it('reads several files one after the other, on lines of JSON too', async () => {
    const { out } = await classify('reviews', 'good.txt', 'bad.txt');
    expect(out).toMatch(/^good\.txt: positive\n[^:]*bad\.txt: negative\n/);
    const records = (await classify('reviews', 'good.txt', 'bad.txt', '--json')).out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(records).toMatchObject([
      { files: ['good.txt'], label: 'positive', tokens: [21], read: [21] },
      { files: ['bad.txt'], label: 'negative', tokens: [18], read: [18] },
    ]);
    for (const { probabilities } of records)
      expect(probabilities.negative + probabilities.positive).toBeCloseTo(1, 5);
  });

  it('reads bytes as they are, whether they are text or not', async () => {
    write('bytes.bin', Uint8Array.of(0xff, 0xfe, 0, 0x80, 10));
    expect(JSON.parse((await classify('reviews', 'bytes.bin', '--json')).out)).toMatchObject({ tokens: [5] });
  });

  it('says what it did not read of a long text, which then counts for nothing', async () => {
    const start = 'good '.repeat(12); // 60 bytes: as many as the model reads
    write('long.txt', `${start}${'bad '.repeat(5000)}`);
    write('start.txt', start);
    const [long, short] = [await classify('reviews', 'long.txt'), await classify('reviews', 'start.txt')];
    expect(long.out).toBe(`${short.out}  (only the first 60 of 20,060 tokens were read)\n`);
    expect(JSON.parse((await classify('reviews', 'long.txt', '--json')).out)).toMatchObject({
      tokens: [20_060],
      read: [60],
    });
  });

  it('reads trees as words, with or without the brackets that the model has seen', async () => {
    const read = async (run: string) => JSON.parse((await classify(run, 'tree.txt', '--json')).out);
    expect(await read('trees')).toMatchObject({ tokens: [6] });
    expect(await read('bracket-trees')).toMatchObject({ tokens: [8] });
    const { probabilities } = await read('trees');
    expect(Object.keys(probabilities)).toEqual([...'0123456789']);
  });

  it('compares a pair', async () => {
    const { out } = await classify('pairs', 'good.txt', 'bad.txt', '--json');
    expect(JSON.parse(out)).toMatchObject({ files: ['good.txt', 'bad.txt'], tokens: [21, 18] });
    const [one, other] = [out, (await classify('pairs', 'bad.txt', 'good.txt', '--json')).out].map(
      (text) => JSON.parse(text).probabilities.citation,
    );
    expect(one).not.toBe(other);
  });

  it('reads bytes for weights without their run, whose classes then are numbers, and says so', async () => {
    const checkpoint = 'reviews/best/step-00000060';
    copyFileSync(inside(`${checkpoint}/model.safetensors`), inside('alone.safetensors'));
    const inRun = await classify(checkpoint, 'good.txt', '--json');
    expect(inRun.error).toBe('');
    expect(JSON.parse(inRun.out).label).toBe('positive');
    const { out, error } = await classify('alone.safetensors', 'good.txt', '--json');
    expect(JSON.parse(out)).toMatchObject({ label: '1', tokens: [21] });
    expect(error).toMatch(
      /^transformer-ls classify: these weights do not lie in a run .*; texts are read as bytes\n$/,
    );
  });

  it.concurrent.each([
    [['reviews', 'nothing.txt'], 2, 'cannot read nothing.txt: no such file or folder'],
    [['reviews', 'data'], 2, 'cannot read data: it is a folder, expected a file'],
    [['reviews', 'good.txt', '--text', 'x'], 2, 'expected a file or --text, received both'],
    [['reviews', 'empty.txt'], 1, 'empty.txt: expected a text of at least one token, received none'],
    [['reviews', '--text', ''], 1, '--text: expected a text of at least one token, received none'],
    [['reviews'], 1, 'standard input: expected a text of at least one token, received none'],
    [['trees', 'empty.txt'], 1, 'empty.txt: expected a text of at least one token, received none'],
    [
      ['trees', '--text', '[AVG 1 2 ]'],
      1,
      '--text: expected a digit, [MIN, [MAX, [MED, [SM or ], received "[AVG"',
    ],
    [['trees', '--text', '[MAX 1 2'], 1, '--text: expected a whole tree, received one with 1 open lists'],
    [['trees', '--text', '1 2'], 1, '--text: expected the end of the tree at token 1'],
    [['trees', 'good.txt'], 1, 'good.txt: expected a digit, [MIN, [MAX, [MED, [SM or ], received "good"'],
    [['pairs', 'good.txt'], 2, 'this model compares two texts: expected two files, received 1'],
    [['pairs', '--text', 'x'], 2, 'this model compares two texts: expected two files, received --text'],
    [['language', 'good.txt'], 1, 'language: is a language-model, expected a sequence-classifier'],
    [['reviws', 'good.txt'], 1, 'reviws: no such file or folder; did you mean reviews?'],
    [['good.txt', 'good.txt'], 1, 'good.txt: '],
    [[], 2, "missing required argument 'model'"],
  ])('%j is answered in one line', async (args, code, message) => {
    const { out, error, code: found } = await classify(...args);
    expect(error).toContain(`transformer-ls classify: ${message.startsWith('missing') ? '' : message}`);
    expect(error).toContain(message);
    expect(error.trimEnd()).not.toContain('\n');
    expect(error).not.toContain('unexpected');
    expect({ code: found, out }).toEqual({ code, out: '' });
  });

  it('passes over a damaged checkpoint and says so, and refuses a run that has no other', async () => {
    cpSync(inside('reviews'), inside('damaged'), { recursive: true });
    truncateSync(inside('damaged/best/step-00000060/model.safetensors'), 5000);
    const { code, out, error } = await classify('damaged', 'good.txt');
    expect(code).toBe(0);
    expect(out).toMatch(/^positive\n/);
    expect(error).toMatch(/^transformer-ls classify: passed over .*step-00000060: .*\n$/);
    truncateSync(inside('damaged/checkpoints/step-00000060/model.safetensors'), 5000);
    const broken = await classify('damaged', 'good.txt');
    expect(broken).toMatchObject({ code: 1, out: '' });
    expect(broken.error).toMatch(
      /^transformer-ls classify: damaged: none of its 2 checkpoints is whole \(.*\)\n$/,
    );
  });
});

describe('evaluate of a classifier', () => {
  const evaluate = (...args: string[]) => tls.run(['evaluate', ...args, '--threads', '1']);

  it('says what it evaluates, prints accuracy beside chance, and writes the record into the run', async () => {
    const { code, out, error } = await evaluate('reviews');
    expect(error).toMatch(/^evaluating reviews\/best\/.* on imdb test: 48 examples\n$/);
    expect(code).toBe(0);
    expect(out).toMatch(/ {2}accuracy +\d+\.\d\d % of 48 examples\n/);
    expect(out).toMatch(/ {2}chance +50\.00 %\n/);
    expect(out).toContain('A set of a test.');
    const record = JSON.parse(readFileSync(inside('reviews/evaluation.json'), 'utf8'));
    expect(record).toMatchObject({
      kind: 'classifier-evaluation',
      model: { path: 'reviews', step: 60, attention: 'long-short', mode: 'consistent' },
      data: { name: 'imdb', split: 'test', note: 'A set of a test.' },
      examples: 48,
    });
    expect(record.accuracy).toBeGreaterThan(0.9);
  });

  it('evaluates every kind of set, any part, and other data that fit', async () => {
    for (const run of ['trees', 'bracket-trees', 'pairs']) {
      const { code, out, error } = await evaluate(run, '--json', '--split', 'valid', '--out', 'results');
      expect({ code, error }).toEqual({ code: 0, error: '' });
      const record = JSON.parse(out);
      expect(record).toMatchObject({ data: { split: 'valid' }, examples: 24 });
      expect(Math.round(record.accuracy * 24)).toBeCloseTo(record.accuracy * 24, 9);
    }
    expect(JSON.parse(readFileSync(inside('results/evaluation-valid.json'), 'utf8')).data.name).toBe('aan');
    const other = await evaluate('trees', '--json', '--data', 'listops-brackets', '--out', 'results');
    expect(JSON.parse(other.out)).toMatchObject({ data: { name: 'listops-brackets' }, examples: 48 });
  });

  it('stops at Ctrl-C and leaves the earlier result', async () => {
    write('reviews/evaluation.json', 'as it was');
    const child = tls.start(['evaluate', 'reviews', '--data-folder', 'large data', '--split', 'train']);
    child.stderr!.once('data', () => child.kill('SIGINT'));
    const { code, out, error } = await ended(child);
    expect({ code, out }).toEqual({ code: 130, out: '' });
    expect(error).toContain('transformer-ls evaluate: interrupted; nothing was written');
    expect(readFileSync(inside('reviews/evaluation.json'), 'utf8')).toBe('as it was');
  });

  it.concurrent.each([
    [['reviews', '--data', 'listops'], 2, 'listops has 10 classes, this model 2'],
    [['reviews', '--data', 'aan'], 2, 'an example of aan has two document(s), an input of this model one'],
    [['reviews', '--data', 'imbd'], 1, "did you mean 'imdb'?"],
    [['reviews', '--block', '64'], 2, '--block is for language models; reviews is a sequence-classifier'],
    [['reviews', '--context-chart'], 2, '--context-chart is for language models'],
    [['reviews', '--data-folder', 'elsewhere'], 1, 'imdb is not prepared: pass --from <a folder with'],
    [['reviews', '--split', 'dev'], 2, 'Allowed choices are train, valid, test.'],
  ])('%j is answered in one line', async (args, code, message) => {
    const { out, error, code: found } = await evaluate(...args);
    expect(error).toContain(message);
    expect(error.trimEnd()).not.toContain('\n');
    expect(error).not.toContain('unexpected');
    expect({ code: found, out }).toEqual({ code, out: '' });
  });

  it('refuses a set that was damaged', async () => {
    cpSync(inside('data'), inside('damaged data'), { recursive: true });
    truncateSync(inside('damaged data/imdb/documents.bin'), 10);
    const { code, error } = await evaluate('reviews', '--data-folder', 'damaged data');
    expect(code).toBe(1);
    expect(error).toMatch(/imdb\/documents\.bin: is damaged; prepare the set again\n$/);
    expect(existsSync(inside('damaged data/imdb/set.json'))).toBe(true);
  });
});
