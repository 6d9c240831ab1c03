import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { listOpsVocabulary, parseListOps } from '@transformer-ls/formats';
import { noGrad, scope, tensor } from '@transformer-ls/torch';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SequenceBatch } from '../../transformer-ls/src/models/sequence-classifier/model.js';
import type { LoadedClassifier } from '../../transformer-ls/src/models/sequence-classifier/weights.js';
import { exportText, smallClassifier } from '../../transformer-ls/test/export/small-exports.js';
import { loadTextClassifier, type TextClassifier, type TextDocument } from '../src/index.js';
import { failure, testFolder, withManifest } from './exported-models.js';

const scratch = testFolder();

interface Both {
  readonly libtorch: LoadedClassifier;
  readonly exported: TextClassifier;
  readonly folder: string;
}

/** As if it had been trained on the set. */
function trainedOn(loaded: LoadedClassifier, name: string, documentLength: number): LoadedClassifier {
  return { ...loaded, training: { data: { name }, documentLength } } as never;
}

const treeTokens = { vocabularySize: listOpsVocabulary.length + 1 };
const MODELS: Record<string, () => LoadedClassifier> = {
  'long-short': () => smallClassifier(),
  mean: () => smallClassifier({ pooling: 'mean' }),
  'first token': () => smallClassifier({ pooling: 'first-token' }),
  pairs: () => smallClassifier({ inputs: 'two' }),
  window: () => smallClassifier({ pooling: 'mean', attention: { name: 'window-only' } }),
  reference: () => smallClassifier({ mode: 'reference' }),
  'reference pairs': () => smallClassifier({ mode: 'reference', inputs: 'two' }),
  listops: () => trainedOn(smallClassifier(treeTokens), 'listops', 40),
  'listops-brackets': () => trainedOn(smallClassifier(treeTokens), 'listops-brackets', 40),
};
const models = new Map<string, Both>();

beforeAll(async () => {
  for (const [name, make] of Object.entries(MODELS)) {
    const folder = join(scratch.path, name);
    mkdirSync(folder);
    const libtorch = make();
    await exportText(libtorch, folder);
    models.set(name, { libtorch, folder, exported: await loadTextClassifier(folder) });
  }
});
afterAll(async () => {
  for (const { libtorch, exported } of models.values()) {
    libtorch.model.dispose();
    await exported.dispose();
  }
  scratch.remove();
});

/** Probabilities and features of documents of these tokens, by libtorch. */
function expected({ model, config }: LoadedClassifier, documents: readonly Uint8Array[]) {
  return scope(() =>
    noGrad(() => {
      const batches = documents.map((tokens): SequenceBatch => {
        const length = config.mode === 'reference' ? config.maxLength : tokens.length;
        const ids = new Int32Array(length);
        tokens.forEach((token, i) => {
          ids[i] = token + 1;
        });
        return {
          ids: tensor(ids, { shape: [1, length] }),
          mask: tensor(ids, { shape: [1, length] }).ne(0),
        };
      });
      const features = model.features(...batches);
      const logits = model.logitsOf(features);
      return { features: features.toFloat32Array(), shares: logits.softmax(-1).toFloat32Array() };
    }),
  );
}

function expectClose(received: ArrayLike<number>, wanted: ArrayLike<number>): void {
  expect(received.length).toBe(wanted.length);
  const largest = Math.max(...Array.from(wanted, Math.abs));
  Array.from(wanted).forEach((value, i) => {
    expect(Math.abs(received[i]! - value)).toBeLessThan(1e-5 * largest);
  });
}

const bytes = (text: TextDocument) => (typeof text === 'string' ? new TextEncoder().encode(text) : text);

async function expectAlike(name: string, documents: readonly TextDocument[], tokens: readonly Uint8Array[]) {
  const { libtorch, exported } = models.get(name)!;
  const longest = exported.manifest.longest;
  const read = tokens.map((one) => one.subarray(0, longest));
  const { features, shares } = expected(libtorch, read);
  const input = documents.length === 1 ? documents[0]! : documents;
  const result = await exported.classify(input);
  const likeliestFirst = libtorch.classes
    .map((id, i) => ({ id, name: id, probability: shares[i]! }))
    .sort((a, b) => b.probability - a.probability);
  expect(result.classes.map(({ id }) => id)).toEqual(likeliestFirst.map(({ id }) => id));
  expectClose(
    result.classes.map(({ probability }) => probability),
    likeliestFirst.map(({ probability }) => probability),
  );
  expect(result.label).toBe(likeliestFirst[0]!.id);
  expect(result.tokens).toEqual(tokens.map(({ length }) => length));
  expect(result.read).toEqual(read.map(({ length }) => length));
  expectClose(await exported.embed(input), features);
  return result;
}

const texts = [
  'x',
  'Four',
  'A text.',
  'A text that is about as long as it reads of one',
  'Well — naïve. '.repeat(20),
];

describe.each(['long-short', 'mean', 'first token', 'window', 'reference'])('a %s classifier', (name) => {
  it.each(texts)('says of %j what libtorch says', async (text) => {
    await expectAlike(name, [text], [bytes(text)]);
    await expectAlike(name, [bytes(text)], [bytes(text)]);
  });

  it('reads the beginning of what is longer, and says so', async () => {
    const { exported } = models.get(name)!;
    const { longest } = exported.manifest;
    const long = 'y'.repeat(longest + 30);
    const result = await exported.classify(long);
    expect([result.tokens, result.read]).toEqual([[longest + 30], [longest]]);
    expect((await exported.classify(`${long}and more`)).classes).toEqual(result.classes);
    expect((await exported.classify('y'.repeat(longest))).classes).toEqual(result.classes);
  });
});

describe.each(['pairs', 'reference pairs'])('a classifier of %s', (name) => {
  it.each([
    ['x', 'y'],
    ['A short one', 'and one that is a good deal longer'],
    ['One that is a good deal longer than the other', 'z'],
    [texts[4]!, texts[4]!],
  ])('says of %j and %j what libtorch says', async (a, b) => {
    const { heat } = await expectAlike(name, [a, b], [bytes(a), bytes(b)]);
    expect(heat.map(({ length }) => length)).toEqual([a, b].map((one) => Math.min(48, bytes(one).length)));
  });

  it.each([[['one']], [['one', 'two', 'three']]])('refuses %j', async (documents) => {
    const { exported } = models.get(name)!;
    expect(await failure(exported.classify(documents))).toEqual({
      code: 'bad-input',
      message: `expected 2 document(s), received ${documents.length}`,
    });
  });

  it('says which document is none', async () => {
    const { exported } = models.get(name)!;
    expect((await failure(exported.classify(['one', '']))).message).toBe(
      'document 2: expected at least one token, received none',
    );
  });
});

describe('heat', () => {
  it('is the share of each token that was read', async () => {
    for (const name of ['long-short', 'mean', 'reference']) {
      const { exported } = models.get(name)!;
      const { heat, read } = await exported.classify('A text of some length');
      expect(heat).toHaveLength(1);
      expect(heat[0]!.length).toBe(read[0]);
      expect(heat[0]!.every((share) => share >= 0)).toBe(true);
      const sum = heat[0]!.reduce((a, b) => a + b, 0);
      expect(sum).toBeGreaterThan(0);
      expect(sum).toBeLessThan(1.00001);
    }
  });

  it('is none where the model has none', async () => {
    expect((await models.get('window')!.exported.classify('A text')).heat).toEqual([]);
  });
});

describe('a classifier of ListOps', () => {
  const tree = '[MAX 4 [MIN 7 2 ] ( ( [MED 1 ) 9 ) 5 ] [SM 8 8 ] ]';
  const { tokens } = parseListOps(tree);

  it('reads a tree with its brackets, or without them as it was trained', async () => {
    await expectAlike('listops-brackets', [tree], [tokens]);
    await expectAlike('listops', [bytes(` ${tree}\n`)], [tokens.filter((token) => token !== 14)]);
  });

  it.each([
    ['Is this a tree?', 'expected a digit, [MIN, [MAX, [MED, [SM or ], received "Is"'],
    ['[MAX 4', 'expected a whole tree, received one with 1 open lists'],
    ['4 2', 'expected the end of the tree at token 1'],
    [' \n', 'expected at least one token, received none'],
  ])('refuses %j', async (text, message) => {
    for (const name of ['listops', 'listops-brackets'])
      expect(await failure(models.get(name)!.exported.classify(text))).toEqual({
        code: 'bad-input',
        message,
      });
  });
});

describe('refused is', () => {
  it('a document without a byte', async () => {
    const { exported } = models.get('long-short')!;
    for (const document of ['', new Uint8Array()])
      expect(await failure(exported.classify(document))).toEqual({
        code: 'bad-input',
        message: 'expected at least one token, received none',
      });
  });

  it('no document, and two for a model of one', async () => {
    const { exported } = models.get('long-short')!;
    expect((await failure(exported.classify([]))).message).toBe('expected 1 document(s), received 0');
    expect((await failure(exported.embed(['a', 'b']))).message).toBe('expected 1 document(s), received 2');
  });

  it('a byte that the model has no id for', async () => {
    const folder = join(scratch.path, 'ascii');
    mkdirSync(folder);
    const libtorch = smallClassifier({ vocabularySize: 129 });
    await exportText(libtorch, folder);
    libtorch.model.dispose();
    const exported = await loadTextClassifier(folder);
    expect((await exported.classify('plain')).classes).toHaveLength(3);
    expect(await failure(exported.classify('naïve'))).toEqual({
      code: 'bad-input',
      message: 'expected bytes from 0 to 127, received 195',
    });
    await exported.dispose();
  });

  it('a manifest whose classes are not those of the graph, when a document is classified', async () => {
    const copy = withManifest(models.get('long-short')!.folder, (manifest) => ({
      ...manifest,
      classes: [{ id: 'a', name: 'a' }],
    }));
    const exported = await loadTextClassifier(copy);
    expect(await failure(exported.classify('text'))).toEqual({
      code: 'damaged',
      message: 'expected 1 logits, one for each class, received 3',
    });
    await exported.dispose();
  });
});

describe('classifications', () => {
  it('side by side are as if each were alone', async () => {
    const { exported } = models.get('long-short')!;
    const alone = [];
    for (const text of texts) alone.push((await exported.classify(text)).classes);
    const together = await Promise.all(texts.map((text) => exported.classify(text)));
    expect(together.map(({ classes }) => classes)).toEqual(alone);
  });

  it('can be aborted, and do not keep others from their turn', async () => {
    const { exported } = models.get('long-short')!;
    const reason = new RangeError('mine');
    const aborted = exported.classify('text', { signal: AbortSignal.abort(reason) });
    const other = exported.classify('text');
    await expect(aborted).rejects.toBe(reason);
    expect((await other).classes).toHaveLength(3);
  });

  it('end with the model', async () => {
    const exported = await loadTextClassifier(models.get('long-short')!.folder);
    const before = exported.classify('text');
    await exported.dispose();
    expect((await before).classes).toHaveLength(3);
    expect(await failure(exported.classify('text'))).toEqual({
      code: 'disposed',
      message: 'this model was disposed',
    });
    await exported.dispose();
  });
});
