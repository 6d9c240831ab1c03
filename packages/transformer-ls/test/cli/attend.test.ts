import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ClassifierConfig, listOpsVocabulary, safetensorsChunks } from '@transformer-ls/formats';
import { type Module, manualSeed } from '@transformer-ls/torch';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pictureFormat } from '../../src/cli/picture-file.js';
import { Random } from '../../src/data/random.js';
import { generateListOps } from '../../src/lra/listops.js';
import { createLanguageModel } from '../../src/models/language-model/create.js';
import { preset } from '../../src/models/language-model/presets.js';
import { SequenceClassifier } from '../../src/models/sequence-classifier/model.js';
import { classifierPreset } from '../../src/models/sequence-classifier/presets.js';
import { lazyEntryOfTensor } from '../../src/weights/tensor-entries.js';
import { checkXml, outsidePlaces } from '../charts/check-svg.js';
import { transpileProgram } from '../train/transpiled-program.js';
import { type Ended, ended } from './program.js';

let scratch: string;
let main: string;
const run = 'runs/lists';
const review = 'I liked <br />\tevery minute of it — naïve as I am.\n';
const reviewTokens = new TextEncoder().encode(review).length;

/** Runs a command with `input` on standard input. */
async function command(args: readonly string[], input = ''): Promise<Ended> {
  const child = spawn(process.execPath, [main, ...args], { cwd: scratch });
  child.stdin.end(input);
  return ended(child);
}

function saveModel(name: string, model: Module, config: object): void {
  const tensors = new Map([...model.stateDict()].map(([key, value]) => [key, lazyEntryOfTensor(value)]));
  mkdirSync(join(scratch, name));
  writeFileSync(join(scratch, name, 'model.safetensors'), Buffer.concat([...safetensorsChunks(tensors, {})]));
  writeFileSync(join(scratch, name, 'config.json'), JSON.stringify(config));
  model.dispose();
}

function saveClassifier(name: string, changes: Partial<ClassifierConfig>): void {
  const sizes = { maxLength: 256, modelDim: 16, innerDim: 32 };
  const config = { ...classifierPreset('lra-text'), ...sizes, ...changes };
  saveModel(name, new SequenceClassifier(config), config);
}

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'tls attend '));
  main = join(transpileProgram(join(scratch, 'program')), 'main.js');
  writeFileSync(join(scratch, 'review.txt'), review);
  writeFileSync(join(scratch, 'empty.txt'), '');
  manualSeed(2);
  const { attention } = classifierPreset('lra-text');
  saveClassifier('text', {});
  saveClassifier('pairs', { inputs: 'two' });
  saveClassifier('full', { pooling: 'mean', attention: { ...attention, name: 'full' } });
  saveClassifier('first', { pooling: 'first-token', attention: { ...attention, name: 'local' } });
  saveClassifier('performer', { pooling: 'mean', attention: { ...attention, name: 'performer' } });
  const languageModel = preset('debug');
  saveModel('language', createLanguageModel(languageModel), languageModel);

  mkdirSync(join(scratch, 'tables'));
  const shape = { maxDepth: 3, maxArguments: 4, aboveLength: 6, belowLength: 30 };
  for (const [part, count] of [
    ['train', 32],
    ['val', 8],
    ['test', 8],
  ] as const) {
    const lines = Array.from({ length: count }, (_, i) => {
      const { tokens, label } = generateListOps(new Random(count, i), shape);
      return `${Array.from(tokens, (token) => listOpsVocabulary[token]).join(' ')}\t${label}`;
    });
    writeFileSync(join(scratch, 'tables', `basic_${part}.tsv`), `Source\tTarget\n${lines.join('\n')}\n`);
  }
  const sizes = ['model.modelDim=16', 'model.innerDim=32', 'model.maxLength=64', 'documentLength=40'];
  const settings = [...sizes, 'model.mode=consistent', 'schedule.warmupSteps=1', 'evaluateEverySteps=2'];
  const { code, error } = await command([
    ...['train', 'lra/listops', '--from', 'tables', '--data-folder', 'data', '--out', run],
    ...['--no-test', '--steps', '4', '--batch', '4', ...settings.flatMap((setting) => ['--set', setting])],
  ]);
  expect(error).toBe('');
  expect(code).toBe(0);
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe('attend', () => {
  it('draws a text from a file, and says what it read', async () => {
    const { code, out, error } = await command(['attend', 'text', 'review.txt']);
    expect({ code, error }).toEqual({ code: 0, error: '' });
    expect(out).toMatch(/^says [01] \(\d+\.\d %\)\nlong-short attention, window 8, rank 32\nreview\.txt: /);
    expect(out).toContain(
      `review.txt: ${reviewTokens} tokens; shown: rows for 0 to 39 (--tokens shows others)`,
    );
    expect(out).toContain('wrote attention.svg (');
    const svg = readFileSync(join(scratch, 'attention.svg'), 'utf8');
    checkXml(svg);
    expect(outsidePlaces(svg)).toEqual([]);
    expect(svg.includes('Layer 2 of 2 reads review.txt')).toBe(true);
  });

  it('draws an example of the data that a run was trained on, as its words', async () => {
    const options = [
      '--example',
      '3',
      '--data-folder',
      'data',
      '--layer',
      '1',
      '--head',
      '2',
      '--out',
      'three.svg',
    ];
    const { code, out, error } = await command(['attend', run, ...options]);
    expect({ code, error }).toEqual({ code: 0, error: '' });
    expect(out).toMatch(/listops test 3 \(\d\): \d+ tokens\n/);
    const svg = readFileSync(join(scratch, 'three.svg'), 'utf8');
    checkXml(svg);
    expect(svg).toMatch(/>\[(MIN|MAX|MED|SM)</);
    expect(svg.includes('>Head 2<')).toBe(true);
    expect(svg.includes('>Head 1<')).toBe(false);
  });

  it('gives the weights as JSON, and a picture beside it only where asked for', async () => {
    rmSync(join(scratch, 'attention.svg'), { force: true });
    const { code, out } = await command(['attend', run, '--json'], '[MAX 4 [MIN 7 2 ] 1 ]');
    expect(code).toBe(0);
    expect(existsSync(join(scratch, 'attention.svg'))).toBe(false);
    const record = JSON.parse(out);
    expect(record).toMatchObject({
      kind: 'attention-weights',
      layer: 2,
      documents: [{ name: 'standard input' }],
    });
    const [document] = record.documents;
    expect(document.labels).toEqual(['[MAX', '4', '[MIN', '7', '2', '1']);
    expect(document).toMatchObject({ length: 6, tokens: { from: 0, to: 6 }, firstSlotIsClassToken: true });
    const sum = (row: readonly number[]) => row.reduce((a, b) => a + b, 0);
    for (const { window, slots, projection, classToken } of document.heads) {
      expect(classToken.itself + sum(classToken.tokens)).toBeCloseTo(1, 4);
      for (let row = 0; row < 6; row++) {
        expect(sum(window[row].weights) + sum(slots[row])).toBeCloseTo(1, 4);
        expect(window[row].firstKey + window[row].weights.length).toBeLessThanOrEqual(6);
      }
      for (const slot of projection) expect(sum(slot)).toBeCloseTo(1, 4);
    }
    const part = JSON.parse(
      (await command(['attend', run, '--json', '--tokens', '2:4', '--head', '1'], '[MAX 4 [MIN 7 2 ] 1 ]'))
        .out,
    );
    expect(part.documents[0].heads).toHaveLength(1);
    expect(part.documents[0].heads[0].slots).toEqual(document.heads[0].slots.slice(2, 4));
  });

  it('draws pairs, full attention and a first token', async () => {
    const pair = await command(['attend', 'pairs', 'review.txt', 'review.txt', '--out', 'pair.svg']);
    expect(pair.code).toBe(0);
    expect(pair.out.match(/review\.txt: /g)).toHaveLength(2);
    for (const [model, heading] of [
      ['full', 'What tokens take on average'],
      ['first', 'What the first token takes'],
    ] as const) {
      const name = `${model}.svg`;
      expect(await command(['attend', model, 'review.txt', '--out', name])).toMatchObject({
        code: 0,
        error: '',
      });
      const svg = readFileSync(join(scratch, name), 'utf8');
      checkXml(svg);
      expect(svg.includes(heading)).toBe(true);
    }
  });

  it.concurrent.each([
    [
      ['text', 'review.txt', '--out', 'a.gif'],
      2,
      'expected --out with a name that ends in .svg or .png, received a.gif',
    ],
    [['text', 'review.txt', '--out', 'no/folder/a.svg'], 2, 'cannot write no/folder/a.svg'],
    [['text', 'review.txt', '--layer', '3'], 2, '--layer: expected a number from 1 to 2, received 3'],
    [['text', 'review.txt', '--head', '3'], 2, '--head: expected a number from 1 to 2, received 3'],
    [['text', 'review.txt', '--head', '0'], 2, "Expected a whole number at least 1, received '0'."],
    [
      ['text', 'review.txt', '--tokens', '9:9'],
      2,
      "Expected a range of tokens such as 100:160, received '9:9'.",
    ],
    [['text', 'review.txt', '--tokens', 'all'], 2, "received 'all'."],
    [
      ['text', 'review.txt', '--tokens', '60:70'],
      2,
      `--tokens: expected a range that begins before token ${reviewTokens}, the end, received 60:70`,
    ],
    [['text', 'empty.txt'], 1, 'expected a text of at least one token, received none'],
    [['text'], 1, 'standard input: expected a text of at least one token, received none'],
    [['text', 'nothing.txt'], 2, 'cannot read nothing.txt: '],
    [['text', '.'], 2, 'cannot read .: '],
    [['text', 'review.txt', '--text', 'a'], 2, 'expected a file or --text, received both'],
    [
      ['text', 'review.txt', '--example', '1'],
      2,
      'expected --example, --text or a file, received several of them',
    ],
    [['text', '--example', '1'], 2, 'expected --data <set>'],
    [['text', 'review.txt', 'review.txt'], 2, 'expected one text for this model, received 2'],
    [['pairs', 'review.txt'], 2, 'this model compares two texts: expected two files, received 1'],
    [
      ['performer', 'review.txt'],
      1,
      'performer attention has no weights that can be drawn, expected one of long-short',
    ],
    [['language', 'review.txt'], 1, 'language: is a language-model, expected a sequence-classifier'],
    [
      ['text', 'review.txt', '--stage', '1'],
      2,
      '--stage is for models of pictures; text is a sequence-classifier',
    ],
    [
      ['text', 'review.txt', '--at', '1:1'],
      2,
      '--at is for models of pictures; text is a sequence-classifier',
    ],
    [
      [run, '--text', '[MAX 4 [SUM 1 ] ]'],
      1,
      'expected a digit, [MIN, [MAX, [MED, [SM or ], received "[SUM"',
    ],
    [[run, '--example', '99', '--data-folder', 'data'], 1, 'expected an example from 0 to 7, received 99'],
    [['runs/lsits', 'review.txt'], 1, 'did you mean runs/lists?'],
  ])('%j is answered in one line', async (args, expected, message) => {
    const { code, out, error } = await command(['attend', ...args]);
    expect({ code, out }).toEqual({ code: expected, out: '' });
    expect(error).toContain(message);
    expect(error.trimEnd()).not.toContain('\n');
  });

  it('writes PNG where the name asks for it', async () => {
    const { code, error } = await command(['attend', 'text', 'review.txt', '--out', 'a.png']);
    expect({ code, error }).toEqual({ code: 0, error: '' });
    const signature = readFileSync(join(scratch, 'a.png')).subarray(1, 4).toString();
    expect(signature).toBe('PNG');
  });

  it('draws PNG with sharp, twice as large for sharp letters', async () => {
    const svg =
      '<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20"><rect width="9" height="9"/></svg>';
    const png = Buffer.from(await (await pictureFormat('a.PNG'))(svg));
    expect(png.subarray(1, 4).toString()).toBe('PNG');
    expect([png.readUInt32BE(16), png.readUInt32BE(20)]).toEqual([60, 40]);
  });
});

describe('inspect', () => {
  it('shows a run of a classifier: data, progress, parts, cost', async () => {
    const { code, out } = await command(['inspect', run]);
    expect(code).toBe(0);
    for (const line of [
      /^ {2}data +listops$/m,
      /^ {2}tokens of a document that are read +40$/m,
      /^ {2}classes +0, 1, 2, 3, 4, 5, 6, 7, 8, 9$/m,
      /^ {2}steps trained +4$/m,
      /^ {2}best accuracy +\d+\.\d\d % on valid, step [24]$/m,
      /^ {2}attention +long-short attention, window 8, rank 32, in 2 layers of 2 heads$/m,
      /^ {2}multiply-accumulates per example +\d/m,
      /^ {2}attention\.windowSize +8$/m,
      /^ {2}classifier head +\d/m,
      /^ {2}step-00000004 +whole$/m,
    ])
      expect(out).toMatch(line);
  });

  it.each(['text', 'pairs', 'full', 'first', 'performer'])(
    'counts every parameter of the model %s in exactly one part',
    async (name) => {
      const { code, out } = await command(['inspect', name, '--json']);
      expect(code).toBe(0);
      const { kind, facts, parts, tensors, config } = JSON.parse(out);
      expect({ kind, of: config.kind }).toEqual({ kind: 'model', of: 'sequence-classifier' });
      const counted = Object.values<number>(parts).reduce((a, b) => a + b, 0);
      const stored = tensors as { shape: number[] }[];
      expect(counted).toBe(facts.parameters);
      // What performer stores beside its parameters are its random directions.
      const elements = stored.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
      expect(counted).toBe(elements - (name === 'performer' ? 2 * 256 * 8 : 0));
      expect(parts).not.toHaveProperty('the rest');
      // At least the linear maps of the first of two layers: of the last one, some models compute the rows that are read alone.
      const { modelDim: D, innerDim: F, maxLength: L } = config;
      expect(facts['multiply-accumulates per example']).toBeGreaterThan(L * (4 * D * D + 2 * D * F));
      expect(facts['counted over tokens of a document']).toBe(256);
    },
  );

  it('shows a checkpoint, and says in one line what is wrong with a model', async () => {
    const checkpoint = JSON.parse(
      (await command(['inspect', `${run}/checkpoints/step-00000004`, '--json'])).out,
    );
    expect(checkpoint).toMatchObject({ kind: 'checkpoint', facts: { step: 4 }, config: { modelDim: 16 } });
    mkdirSync(join(scratch, 'broken'));
    writeFileSync(
      join(scratch, 'broken/model.safetensors'),
      readFileSync(join(scratch, 'text/model.safetensors')),
    );
    const config = JSON.parse(readFileSync(join(scratch, 'text/config.json'), 'utf8'));
    writeFileSync(join(scratch, 'broken/config.json'), JSON.stringify({ ...config, layers: 3 }));
    const { code, out, error } = await command(['inspect', 'broken']);
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(error).toMatch(/^transformer-ls inspect: .*expected weights of 3 blocks, found 2\n$/);
  });
});
