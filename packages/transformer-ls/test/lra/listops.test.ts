import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fieldsOf, linesOf } from '../../src/lra/lines.js';
import {
  evaluateListOps,
  generateListOps,
  listOpsVocabulary,
  parseListOps,
  publishedShape,
  withoutBrackets,
} from '../../src/lra/listops.js';
import { Random } from '../../src/lra/random.js';

const shared = fileURLToPath(new URL('../../../../../shared/data/listops', import.meta.url));
const words = (tokens: Uint8Array) => Array.from(tokens, (token) => listOpsVocabulary[token]).join(' ');

describe('ListOps', () => {
  it.each([
    ['[MAX 4 2 ]', 4],
    ['[MIN 4 2 9 ]', 2],
    ['[SM 9 9 5 ]', 3],
    ['[MED 1 9 4 ]', 4],
    ['[MED 1 2 ]', 1],
    ['( ( ( [MAX 4 ) ( ( ( [MIN 7 ) 2 ) ] ) ) ] )', 4],
    ['7', 7],
  ])('%s is %i', (source, label) => {
    expect(parseListOps(source).label).toBe(label);
  });

  it.each([
    ['[MAX 4', 'expected a whole tree, received one with 1 open lists'],
    ['[MAX ]', 'expected an operator and its arguments before the ] at token 1'],
    [']', 'expected an operator and its arguments before the ] at token 0'],
    ['4 2', 'expected the end of the tree at token 1'],
    ['[AVG 4 2 ]', 'expected a digit, [MIN, [MAX, [MED, [SM or ], received "[AVG"'],
    ['', 'expected a whole tree, received one with 0 open lists'],
  ])('refuses %j', (source, message) => {
    expect(() => parseListOps(source)).toThrow(message);
  });

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
    it('has the same distribution of lengths, labels and tokens', async () => {
      const originals = [];
      for await (const line of linesOf(join(shared, 'basic_val.tsv.gz'))) {
        const [source, target] = fieldsOf(line, 1).map((field) => new TextDecoder().decode(field));
        if (source === 'Source') continue;
        const example = parseListOps(source!);
        expect(String(example.label)).toBe(target);
        originals.push(example);
      }
      const ours = originals.map((_, index) => generateListOps(new Random(11, index)));
      const medianLength = (examples: typeof ours) =>
        examples.map(({ tokens }) => tokens.length).sort((a, b) => a - b)[examples.length >> 1]!;
      expect(medianLength(ours) / medianLength(originals)).toBeCloseTo(1, 1);
      const share = (examples: typeof ours, value: number, of: 'label' | 'tokens') => {
        const all = examples.flatMap((one) => (of === 'label' ? [one.label] : [...one.tokens]));
        return all.filter((one) => one === value).length / all.length;
      };
      for (let label = 0; label < 10; label++)
        expect(Math.abs(share(ours, label, 'label') - share(originals, label, 'label'))).toBeLessThan(0.04);
      for (const token of listOpsVocabulary.keys())
        expect(Math.abs(share(ours, token, 'tokens') - share(originals, token, 'tokens'))).toBeLessThan(
          0.005,
        );
    });
  });
});
