// Streams that never end take the memory of short ones.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exportLanguageModel, smallLanguageModel } from '../../transformer-ls/test/export/small-exports.js';
import { type LanguageModel, loadLanguageModel } from '../src/index.js';
import { testFolder } from './exported-models.js';

const PIECE = new Uint8Array(2 ** 15).map((_, i) => (i * 31) % 251);
const PIECES = 10 * 2 ** 5;
const MIB = 2 ** 20;
/** What the engine's and Node's own bookkeeping may move, for 10 MiB of text. */
const MOVES = 48 * MIB;

const { path, remove } = testFolder();
let exported: LanguageModel;

beforeAll(async () => {
  const sizes = { layers: 1, windowSize: 16, chunkSize: 512, projectionRank: 1, memoryLength: 2048 };
  const libtorch = smallLanguageModel(sizes);
  await exportLanguageModel(libtorch, path);
  libtorch.dispose();
  exported = await loadLanguageModel(path);
});
afterAll(async () => {
  await exported.dispose();
  remove();
});

describe('memory of the whole process stays flat', () => {
  it('while 10 MiB are read', async () => {
    const resident: number[] = [];
    function* pieces() {
      for (let i = 0; i < PIECES; i++) {
        yield PIECE;
        resident.push(process.memoryUsage().rss);
      }
    }
    const stream = exported.generate(pieces(), { maxTokens: 3 });
    const remembered = new Set<number>();
    for await (const _ of stream.bytes()) remembered.add(stream.memoryBytes);
    expect(stream.promptTokens).toBe(10 * MIB);
    expect(remembered.size).toBe(1);
    console.log(`read ${PIECES * PIECE.length} bytes: ${rise(resident)}`);
    expect(Math.max(...settled(resident)) - settled(resident)[0]!).toBeLessThan(MOVES);
  });

  it('while 100,000 tokens are written', async () => {
    const resident: number[] = [];
    const stream = exported.generate('The', { maxTokens: 100_000, seed: 1 });
    for await (const _ of stream.bytes())
      if (stream.tokens % 1000 === 0) resident.push(process.memoryUsage().rss);
    console.log(`wrote ${stream.tokens} tokens: ${rise(resident)}`);
    expect(stream.tokens).toBe(100_000);
    expect(Math.max(...settled(resident)) - settled(resident)[0]!).toBeLessThan(MOVES);
  });
});

/** After the first tenth everything that is used was used. */
function settled(resident: readonly number[]): readonly number[] {
  return resident.slice(Math.floor(resident.length / 10));
}

function rise(resident: readonly number[]): string {
  const [first, ...others] = settled(resident) as [number, ...number[]];
  return `${(first / MIB).toFixed(1)} MiB after a tenth, ${(others.at(-1)! / MIB).toFixed(1)} MiB at the end`;
}
