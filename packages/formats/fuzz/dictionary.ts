import assert from 'node:assert/strict';
import { FairseqDictionary, VocabularyError } from '../src/index.js';
import { assertRefused } from './refused.js';

/** Any text as the `dict.txt` of a published model: refused with a `VocabularyError` of one line, or the same when written and read again. */
export function fuzzDictionary(data: Uint8Array): void {
  const text = new TextDecoder().decode(data);
  for (const style of ['decimal', 'characters'] as const) {
    try {
      const dictionary = FairseqDictionary.parse(text, style);
      const again = FairseqDictionary.parse(dictionary.toText(), style);
      assert.deepEqual(again.entries, dictionary.entries);
      assert.deepEqual(again.encode(data), dictionary.encode(data));
      for (const id of dictionary.encode(data)) assert.ok(id >= 0 && id < dictionary.vocabularySize);
    } catch (error) {
      assertRefused(error, VocabularyError);
    }
  }
}
