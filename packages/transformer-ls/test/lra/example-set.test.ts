import { appendFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ExampleBatches, placesOf, readBatch } from '../../src/lra/example-batches.js';
import {
  type ExampleSet,
  type ExampleSetDescription,
  ExampleSetWriter,
  openExampleSet,
} from '../../src/lra/example-set.js';
import { scratchFolder } from '../data/scratch-folder.js';

const description: ExampleSetDescription = {
  task: 'toy',
  inputs: 'one',
  classes: ['even', 'odd'],
  vocabulary: [],
  validFrom: 'own',
  caution: '',
  source: 'a test',
  stamp: 's',
};

/** Documents of 1, 2, 3, … tokens, all of them their own number. */
async function toySet(folder: string, count = 20): Promise<ExampleSet> {
  const writer = new ExampleSetWriter(folder, description);
  for (let i = 0; i < count; i++)
    writer.addExample('train', [writer.addDocument(new Uint8Array(i + 1).fill(i))], i % 2);
  writer.addExample('valid', [writer.addDocument(new Uint8Array(3).fill(9))], 1);
  writer.addExample('test', [writer.addDocument(new Uint8Array(4).fill(8))], 0);
  return writer.finish();
}

describe('a prepared set', () => {
  it('gives back what was written', async () => {
    const set = await toySet(scratchFolder());
    expect([set.count('train'), set.count('valid'), set.count('test')]).toEqual([20, 1, 1]);
    for (let i = 0; i < 20; i++) {
      expect(set.example('train', i)).toEqual({ documents: [new Uint8Array(i + 1).fill(i)], label: i % 2 });
      expect(set.lengths('train', i)).toEqual([i + 1]);
    }
    expect(set.example('train', 9, 4).documents).toEqual([new Uint8Array(4).fill(9)]);
    set.close();
  });

  it('keeps a document that comes twice once', async () => {
    const writer = new ExampleSetWriter(scratchFolder(), description);
    const first = writer.addDocument(Uint8Array.of(1, 2));
    expect(writer.addDocument(Uint8Array.of(1, 2))).toBe(first);
    writer.abandon();
  });

  it.each([
    ['documents.bin', (path: string) => appendFileSync(path, 'x')],
    ['documents.offsets', (path: string) => truncateSync(path, 16)],
    [
      'train.examples',
      (path: string) => writeFileSync(path, new Uint8Array(readFileSync(path).length).fill(255)),
    ],
  ])('is refused where %s is damaged', async (name, damage) => {
    const folder = scratchFolder();
    (await toySet(folder)).close();
    damage(join(folder, name));
    await expect(openExampleSet(folder)).rejects.toThrow(/is damaged; prepare the set again$/);
  });

  it.each(['documents.offsets', 'train.examples'])(
    'is refused where %s is no whole number of entries long, and its record agrees',
    async (name) => {
      const folder = scratchFolder();
      (await toySet(folder)).close();
      appendFileSync(join(folder, name), 'x');
      const record = JSON.parse(readFileSync(join(folder, 'set.json'), 'utf8'));
      record[name === 'train.examples' ? 'train' : 'offsets'].bytes += 1;
      writeFileSync(join(folder, 'set.json'), JSON.stringify(record));
      await expect(openExampleSet(folder)).rejects.toThrow(/is damaged; prepare the set again$/);
    },
  );

  it('is refused where a byte has changed and it is verified', async () => {
    const folder = scratchFolder();
    (await toySet(folder)).close();
    const path = join(folder, 'documents.bin');
    const bytes = readFileSync(path);
    bytes[5]! ^= 1;
    writeFileSync(path, bytes);
    (await openExampleSet(folder)).close();
    await expect(openExampleSet(folder, true)).rejects.toThrow(/documents\.bin: is damaged/);
  });

  it('is not there before it is finished', async () => {
    const folder = scratchFolder();
    const writer = new ExampleSetWriter(folder, description);
    writer.addExample('train', [writer.addDocument(Uint8Array.of(1))], 0);
    await expect(openExampleSet(folder)).rejects.toThrow('holds no prepared set');
    await expect(writer.finish()).rejects.toThrow('toy: the valid part is empty');
    writer.abandon();
  });

  it('refuses labels and numbers of documents that it was not made for', () => {
    const writer = new ExampleSetWriter(scratchFolder(), description);
    expect(() => writer.addExample('train', [0], 2)).toThrow('expected a label from 0 to 1, received 2');
    expect(() => writer.addExample('train', [0, 0], 1)).toThrow(
      'expected one document(s) an example, received 2',
    );
    writer.abandon();
  });
});

describe('batches', () => {
  const padding = { documentLength: 15, paddedLength: null };

  it('hold every example once an epoch, in another order each epoch and the same for the same seed', async () => {
    const set = await toySet(scratchFolder());
    const epoch = (seed: number, skip: number) => {
      const batches = new ExampleBatches({ set, splits: ['train'], batchSize: 5, seed, padding });
      for (let i = 0; i < skip; i++) batches.next();
      return Array.from({ length: 4 }, () => batches.next()).flatMap(({ documents }) =>
        Array.from({ length: 5 }, (_, row) => documents[0]!.ids[row * documents[0]!.length]! - 1),
      );
    };
    const [first, second, again] = [epoch(1, 0), epoch(1, 4), epoch(1, 0)];
    expect(first.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(second.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i));
    expect(first).not.toEqual(second);
    expect(again).toEqual(first);
    expect(epoch(2, 0)).not.toEqual(first);
    set.close();
  });

  it('mix labels of a set that is sorted by label, also where all documents are cut to one length', async () => {
    const writer = new ExampleSetWriter(scratchFolder(), description);
    for (let i = 0; i < 640; i++)
      writer.addExample('train', [writer.addDocument(Uint8Array.of(1, 2, 3, i % 256))], i < 320 ? 0 : 1);
    for (const split of ['valid', 'test'] as const)
      writer.addExample(split, [writer.addDocument(Uint8Array.of(1))], 0);
    const set = await writer.finish();
    const cut = { documentLength: 3, paddedLength: null };
    const batches = new ExampleBatches({ set, splits: ['train'], batchSize: 16, seed: 1, padding: cut });
    const pure = Array.from({ length: 40 }, () => new Set(batches.next().labels).size).filter((n) => n < 2);
    expect(pure).toHaveLength(0);
    set.close();
  });

  it('go on where they stood', async () => {
    const set = await toySet(scratchFolder());
    const make = () => new ExampleBatches({ set, splits: ['train'], batchSize: 3, seed: 4, padding });
    await fc.assert(
      fc.asyncProperty(fc.nat(30), async (done) => {
        const [running, resumed] = [make(), make()];
        for (let i = 0; i < done; i++) running.next();
        resumed.restore(running.state());
        expect(resumed.next()).toEqual(running.next());
      }),
      { numRuns: 20 },
    );
    expect(() => make().restore({ epoch: 0, batch: 7 })).toThrow('expected a data position up to batch 6');
    set.close();
  });

  it('cut documents, pad behind them with 0, and count tokens', async () => {
    const set = await toySet(scratchFolder());
    const [batch] = [readBatch(set, placesOf(set, ['train']).slice(17), padding)];
    const [rows] = batch.documents;
    expect(rows).toMatchObject({ length: 15, tokens: 45 });
    const short = readBatch(set, placesOf(set, ['train']).slice(0, 2), {
      documentLength: 15,
      paddedLength: 4,
    });
    expect([...short.documents[0]!.ids]).toEqual([1, 0, 0, 0, 2, 2, 0, 0]);
    expect([...short.labels]).toEqual([0, 1]);
    set.close();
  });

  it('are refused where the examples fill none', async () => {
    const set = await toySet(scratchFolder());
    expect(() => new ExampleBatches({ set, splits: ['valid'], batchSize: 2, seed: 0, padding })).toThrow(
      'toy: 1 training examples fill no batch of 2; lower batchSize',
    );
    set.close();
  });
});
