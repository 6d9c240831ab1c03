import { describe, expect, it } from 'vitest';
import { prepareSet } from '../../src/lra/prepare.js';
import { scratchFolder } from '../data/scratch-folder.js';

/** Examples of each part, and the text of the first. */
async function prepared(name: string, options: Parameters<typeof prepareSet>[1]) {
  const set = await prepareSet(name, options);
  const first = String(set.example('train', 0).documents[0]);
  const { stamp } = set.record;
  set.close();
  return { count: set.count('train'), first, stamp };
}

describe('preparing a set', () => {
  it('makes the same examples for the same seed, and others for another', async () => {
    const make = (seed: number) => prepared('pathfinder32', { folder: scratchFolder(), examples: 8, seed });
    const [one, again, other] = [await make(1), await make(1), await make(2)];
    expect(again.first).toBe(one.first);
    expect(other.first).not.toBe(one.first);
  });

  it('keeps what was prepared where nothing else is asked for, and makes it anew where it is', async () => {
    const folder = scratchFolder();
    const made = await prepared('pathfinder32', { folder, examples: 8, seed: 5 });
    expect(await prepared('pathfinder32', { folder })).toEqual(made);
    expect((await prepared('pathfinder32', { folder, examples: 16 })).count).toBe(16);
  });

  it.each([
    ['imdb', 'imdb is not prepared: pass --from <a folder with imdb.train.tsv.gz'],
    ['listopps', 'there is no set "listopps", expected one of listops, '],
  ])('says what is missing: %s', async (name, message) => {
    await expect(prepareSet(name, { folder: scratchFolder() })).rejects.toThrow(message);
  });

  it('refuses a source that is not there', async () => {
    await expect(prepareSet('listops', { folder: scratchFolder(), from: '/nowhere/at all' })).rejects.toThrow(
      /cannot read .*at all/,
    );
  });
});
