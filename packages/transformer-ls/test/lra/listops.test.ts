import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  evaluateListOps,
  type ListOpsExample,
  listOpsVocabulary,
  parseListOps,
  withoutBrackets,
} from '@transformer-ls/formats';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fieldsOf, linesOf } from '../../src/data/lines.js';
import { Random } from '../../src/data/random.js';
import { generateListOps, publishedShape } from '../../src/lra/listops.js';

const shared = fileURLToPath(new URL('../../../../../shared/data/listops', import.meta.url));
const words = (tokens: Uint8Array) => Array.from(tokens, (token) => listOpsVocabulary[token]).join(' ');

/** Quartiles of lengths, mean depth, shares of labels and of tokens. */
function distribution(examples: readonly ListOpsExample[]) {
  const lengths = examples.map(({ tokens }) => tokens.length).sort((a, b) => a - b);
  const labels = new Array<number>(10).fill(0);
  const tokens = listOpsVocabulary.map(() => 0);
  for (const example of examples) {
    labels[example.label]! += 1 / examples.length;
    for (const token of example.tokens) tokens[token]! += 1;
  }
  const all = tokens.reduce((a, b) => a + b);
  return {
    lengths: [0.25, 0.5, 0.75].map((part) => lengths[Math.floor(part * lengths.length)]!),
    depth: examples.reduce((sum, example) => sum + depthOf(example.tokens), 0) / examples.length,
    labels,
    tokens: tokens.map((count) => count / all),
  };
}

/** Lists inside each other. */
function depthOf(tokens: Uint8Array): number {
  let [open, most] = [0, 0];
  for (const token of tokens) {
    if (token >= 10) open += token === 14 ? -1 : 1;
    most = Math.max(most, open);
  }
  return most;
}

describe('ListOps', () => {
  it('generates trees of the asked size whose label is their value, the same for the same seed', () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const { tokens, label } = generateListOps(new Random(seed));
        expect(tokens.length).toBeGreaterThan(publishedShape.aboveLength);
        expect(tokens.length).toBeLessThan(publishedShape.belowLength);
        expect(evaluateListOps(tokens)).toBe(label);
        expect(parseListOps(words(tokens)).tokens).toEqual(tokens);
        expect(generateListOps(new Random(seed)).tokens).toEqual(tokens);
        expect(withoutBrackets(tokens)).not.toContain(14);
      }),
      { numRuns: 30 },
    );
  });

  describe.skipIf(!existsSync(shared))('beside trees of the original generator', () => {
    it('has the same distribution of lengths, depths, labels and tokens', async () => {
      const originals = [];
      for await (const line of linesOf(join(shared, 'basic_val.tsv.gz'))) {
        const [source, target] = fieldsOf(line, 1).map((field) => new TextDecoder().decode(field));
        if (source === 'Source') continue;
        const example = parseListOps(source!);
        expect(String(example.label)).toBe(target);
        originals.push(example);
      }
      const ours = originals.map((_, index) => generateListOps(new Random(11, index)));
      const [here, there] = [distribution(ours), distribution(originals)];
      for (const [i, length] of here.lengths.entries())
        expect(Math.abs(length / there.lengths[i]! - 1)).toBeLessThan(0.06);
      expect(Math.abs(here.depth - there.depth)).toBeLessThan(0.1);
      for (const [label, share] of here.labels.entries())
        expect(Math.abs(share - there.labels[label]!)).toBeLessThan(0.04);
      for (const [token, share] of here.tokens.entries())
        expect(Math.abs(share - there.tokens[token]!)).toBeLessThan(0.005);
    });
  });
});
