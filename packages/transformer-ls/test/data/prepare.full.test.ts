import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  byteVocabulary,
  dictionaryOfCorpus,
  openCorpus,
  prepareCorpus,
  TokenStream,
} from '../../src/data/index.js';
import { countBytes } from '../../src/data/vocabulary.js';
import { scratchFolder } from './scratch-folder.js';

const shared = (name: string) =>
  fileURLToPath(new URL(`../../../../../shared/data/wikipedia/${name}`, import.meta.url));
const archive = shared('enwiki-plaintext-100M.txt.gz');
const enwik8Head = shared('enwik8.first-100000-bytes.txt');

describe('the real Wikipedia files of ../shared/data', () => {
  it.skipIf(!existsSync(archive))('wikipedia-100m: prepared, verified, opened, counted', async () => {
    const folder = scratchFolder();
    const prepared = await prepareCorpus('wikipedia-100m', { folder, from: archive });
    expect(prepared.sha256).toBe('fce0658e43ca871e65f25a1aee8445aba71575de6fd36d59f806a1bbb271a312');
    expect(await prepareCorpus('wikipedia-100m', { folder, verify: true })).toEqual(prepared);
    const [train, test] = await Promise.all([
      openCorpus('wikipedia-100m', 'train', { folder }),
      openCorpus('wikipedia-100m', 'test', { folder }),
    ]);
    expect([train.length, test.length]).toEqual([90_000_000, 5_000_000]);
    expect(Buffer.from(train.read(0, 49)).toString()).toBe(
      '<doc id="12" url="http://en.wikipedia.org/wiki?cu',
    );
    const occurring = (counts: Float64Array) => counts.filter((count) => count > 0).length;
    expect(occurring(countBytes(train))).toBeLessThanOrEqual(206);
    const stream = new TokenStream({
      corpus: train,
      vocabulary: byteVocabulary,
      batchSize: 8,
      segmentLength: 2048,
    });
    expect(stream.segmentsPerEpoch).toBe(Math.floor((11_250_000 - 1) / 2048));
    train.close();
    test.close();
  });

  it.skipIf(!existsSync(archive))('wikipedia-100m is not accepted as enwik8', async () => {
    await expect(prepareCorpus('enwik8', { folder: scratchFolder(), from: archive })).rejects.toThrow(
      'is not enwik8: SHA-256',
    );
  });

  it.skipIf(!existsSync(enwik8Head))(
    'the first bytes of the real enwik8 go through a dictionary and back',
    async () => {
      const bytes = readFileSync(enwik8Head);
      const corpus = await openCorpus('text', 'train', { folder: scratchFolder(), from: enwik8Head });
      const dictionary = dictionaryOfCorpus(corpus, 'decimal');
      corpus.close();
      expect(dictionary.vocabularySize % 8).toBe(0);
      const part = bytes.subarray(0, 90_000);
      expect(part.equals(dictionary.decode(dictionary.encode(part)))).toBe(true);
      await expect(prepareCorpus('enwik8', { folder: scratchFolder(), from: enwik8Head })).rejects.toThrow(
        'holds 100000 bytes, expected the 100000000 of enwik8',
      );
    },
  );
});
