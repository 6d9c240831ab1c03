import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { attentionPicture, type PicturedDocument, shownTokens } from '../../src/charts/attention-picture.js';
import {
  binned,
  followedShares,
  poolingShares,
  projectionShares,
} from '../../src/charts/attention-shares.js';
import { heatMap, LEVELS, levelOf, scaleTop } from '../../src/charts/heat.js';
import { tokenFlow } from '../../src/charts/token-flow.js';
import { byteLabels, isSubstitute } from '../../src/charts/token-labels.js';
import { Random } from '../../src/data/random.js';
import type { HeadWeights, Matrix } from '../../src/models/sequence-classifier/attention-weights.js';
import { checkXml, outsidePlaces } from './check-svg.js';

const bytes = (text: string) => new TextEncoder().encode(text);

/** Rows that sum to 1, not even at all. */
function softRows(rows: number, columns: number, random: Random): Matrix {
  const values = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    const own = Array.from({ length: columns }, () => random.unit() ** 4 + 1e-6);
    const total = own.reduce((a, b) => a + b);
    values.set(
      own.map((value) => value / total),
      row * columns,
    );
  }
  return { rows, columns, values };
}

/** What long-short attention would give: half of each token's weight on slots, half on three tokens around it. */
function headWeights(length: number, rank: number, withClass: boolean, seed: number): HeadWeights {
  const random = new Random(seed);
  const slots = softRows(length, rank + (withClass ? 1 : 0), random);
  const window = new Float32Array(length * 3);
  for (let row = 0; row < length; row++) {
    const keys = [row - 1, row, row + 1].map((key) => (key >= 0 && key < length ? 1 : 0));
    const seen = keys.reduce<number>((a, b) => a + b, 0);
    keys.forEach((isSeen, j) => {
      window[row * 3 + j] = isSeen / seen / 2;
    });
  }
  return {
    window: { rows: length, columns: 3, values: window, firstKey: (row) => row - 1 },
    slots: { ...slots, values: slots.values.map((weight) => weight / 2) },
    projection: softRows(rank, length, random),
    classToken: withClass ? softRows(1, 1 + length, random).values : null,
  };
}

function textDocument(text: string, { rank = 4, withClass = true, heads = 2 } = {}): PicturedDocument {
  const labels = byteLabels(bytes(text));
  return {
    name: 'a document',
    labels,
    look: 'characters',
    image: null,
    weights: {
      startsWithClassToken: false,
      firstSlotIsClassToken: withClass,
      heads: Array.from({ length: heads }, (_, seed) => headWeights(labels.length, rank, withClass, seed)),
    },
  };
}

function draw(document: PicturedDocument, tokens: { from: number; to: number } | null = null): string {
  const heads = document.weights.heads.map((_, head) => head);
  return attentionPicture({ title: 'a title', subtitle: 'more', documents: [document], heads, tokens });
}

function headings(svg: string): string[] {
  return [...svg.matchAll(/font-size="14" font-weight="600">([^<]*)</g)].map(([, heading]) => heading!);
}

describe('labels of bytes', () => {
  it('are one a byte, show all text, and hide nothing', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (some) => {
        const labels = byteLabels(some);
        expect(labels).toHaveLength(some.length);
        for (const label of labels) expect(label).not.toMatch(/^\s+$|[\p{Cc}\p{Cs}\p{M}]/u);
      }),
    );
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme-ascii' }), (text) => {
        expect(byteLabels(bytes(text)).join('')).toBe(text.replaceAll(' ', '·'));
      }),
    );
  });

  it('make white space, control bytes, longer characters and broken ones visible', () => {
    expect(byteLabels(bytes('a b\tc\nd\r\u0000\u007f'))).toEqual([
      ...['a', '·', 'b', '→', 'c', '↵', 'd', '←', '␀', '␡'],
    ]);
    expect(byteLabels(bytes('é€'))).toEqual(['é', '', '€', '', '']);
    expect(byteLabels(Uint8Array.of(0xe2, 0x82, 65))).toEqual(['�', '�', 'A']);
    expect(byteLabels(bytes('x\u0301\u200b'))).toEqual(['x', '▫', '', '▫', '', '']);
    expect(['·', '␀', 'a', ''].map(isSubstitute)).toEqual([true, true, false, false]);
  });
});

describe('the scale', () => {
  it('begins at an even share, ends at its top, and rises in between', () => {
    expect([0, 0.5, 1].map((times) => levelOf(times, 16))).toEqual([0, 0, 0]);
    expect([16, 1000, -16].map((times) => levelOf(times, 16))).toEqual([LEVELS, LEVELS, -LEVELS]);
    expect(levelOf(4, 16)).toBe(LEVELS / 2);
    expect([0, 1.1, 5, 16, 17, 1e9, Number.NaN].map(scaleTop)).toEqual([4, 4, 8, 16, 32, 16384, 4]);
  });

  it('draws each coloured cell exactly once', () => {
    const size = fc.record({ rows: fc.integer({ min: 1, max: 6 }), columns: fc.integer({ min: 1, max: 9 }) });
    fc.assert(
      fc.property(size, fc.nat(1000), ({ rows, columns }, seed) => {
        const random = new Random(seed);
        const levels = Array.from({ length: rows * columns }, () => random.below(3));
        const place = { x: 0, y: 0, columnWidth: 1, rowHeight: 1 };
        const svg = heatMap({ rows, columns }, (r, c) => levels[r * columns + c]!, place);
        const drawn = Array<number>(rows * columns).fill(0);
        for (const [, level, path] of svg.matchAll(/class="tls-h(\d+)" d="([^"]*)"/g))
          for (const [, x, y, width] of path!.matchAll(/M(\d+) ([\d.]+)h(\d+)/g))
            for (let i = 0; i < Number(width); i++)
              drawn[(Number(y) - 0.5) * columns + Number(x) + i]! += Number(level);
        expect(drawn).toEqual(levels);
      }),
    );
  });
});

describe('shares', () => {
  const head = headWeights(7, 3, false, 5);
  const all = { from: 0, to: 7 };
  const mean = (values: Float32Array) => values.reduce((a, b) => a + b) / values.length;

  it('are an even share on average, whatever they are followed through', () => {
    const weights = { startsWithClassToken: false, firstSlotIsClassToken: false, heads: [head] };
    expect(mean(poolingShares(weights, head, 7).times)).toBeCloseTo(1, 5);
    expect(mean(projectionShares(head.projection!, all).times)).toBeCloseTo(1, 5);
    for (let row = 0; row < 7; row++)
      expect(mean(followedShares(head, false, { from: row, to: row + 1 }, all).times)).toBeCloseTo(1, 5);
  });

  it('of the average token are the average of all tokens', () => {
    const weights = { startsWithClassToken: false, firstSlotIsClassToken: false, heads: [head] };
    const average = poolingShares(weights, head, 7).times;
    const { times } = followedShares(head, false, all, all);
    for (let key = 0; key < 7; key++)
      expect(average[key]).toBeCloseTo(
        Array.from({ length: 7 }, (_, row) => times[row * 7 + key]!).reduce((a, b) => a + b) / 7,
        5,
      );
  });

  it('of a class token leave out the slot that is its own', () => {
    const own = headWeights(7, 3, true, 6);
    const { times } = followedShares(own, true, { from: 2, to: 3 }, all);
    expect(mean(times)).toBeCloseTo(1 - own.slots!.values[2 * 4]!, 5);
  });

  it('keep their peaks when columns are joined', () => {
    const shares = { rows: 2, columns: 5, times: Float32Array.from([1, 9, 2, 3, 4, -8, 1, 1, 1, 7]) };
    expect([...binned(shares, 2).times]).toEqual([9, 3, 4, -8, 1, 7]);
  });
});

describe('running text', () => {
  it('has every token in order, and breaks lines between words', () => {
    const text = 'one two three four five six seven eight nine ten';
    const labels = byteLabels(bytes(text));
    const { markup, height } = tokenFlow(
      labels,
      labels.map(() => 0),
      'characters',
      { x: 0, y: 0, width: 130 },
    );
    const glyphs = [...markup.matchAll(/<text x="([\d.]+)" y="([\d.]+)">([^<]*)</g)]
      .map(([, x, y, glyph]) => ({ x: Number(x), y: Number(y), glyph: glyph! }))
      .sort((a, b) => a.y - b.y || a.x - b.x);
    expect(glyphs.map(({ glyph }) => glyph).join('')).toBe(labels.join(''));
    const lines = [...new Set(glyphs.map(({ y }) => y))].map((y) =>
      glyphs
        .filter((one) => one.y === y)
        .map(({ glyph }) => glyph)
        .join(''),
    );
    expect(lines.slice(0, 3)).toEqual(['one·two·three·', 'four·five·six·', 'seven·eight·nine·']);
    expect(height).toBe(lines.length * 21);
  });
});

describe('the picture', () => {
  it('is valid XML with everything inside, for any text', () => {
    const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(text, fc.boolean(), (content, withClass) => {
        const svg = draw(textDocument(content, { withClass, heads: 1 }));
        checkXml(svg);
        expect(outsidePlaces(svg)).toEqual([]);
      }),
      { numRuns: 8 },
    );
  });

  it('says what stands for the document', () => {
    expect(headings(draw(textDocument('some text')))).toEqual([
      'What the class token takes',
      'What the slots are made of',
      'What tokens 0 to 8 take',
    ]);
    expect(headings(draw(textDocument('some text', { withClass: false })))[0]).toBe(
      'What tokens take on average',
    );
  });

  it('shows the part of a long document that fits, and of what is asked for as much as can be drawn', () => {
    const long = textDocument('word '.repeat(600), { rank: 60, heads: 1 });
    expect(shownTokens(long, null)).toEqual({
      text: { from: 0, to: 1500 },
      slots: { from: 0, to: 3000 },
      rows: { from: 0, to: 40 },
    });
    expect(shownTokens(long, { from: 2900, to: 9999 })).toEqual({
      text: { from: 2900, to: 3000 },
      slots: { from: 2900, to: 3000 },
      rows: { from: 2900, to: 3000 },
    });
    const svg = draw(long);
    checkXml(svg);
    expect(svg.includes('The 40 of 60')).toBe(true);
    expect(svg.length).toBeLessThan(600_000);
  });

  it('draws images as images, with a map for each head and a small image for each slot', () => {
    const side = 6;
    const pixels = Uint8Array.from({ length: side * side }, (_, i) => (i * 37) % 256);
    const document = textDocument('x'.repeat(side * side));
    const image = { ...document, look: 'words' as const, image: { side, pixels } };
    const svg = draw(image);
    checkXml(svg);
    expect(outsidePlaces(svg)).toEqual([]);
    expect(headings(svg)).toEqual(['What the class token takes', 'What the slots are made of']);
    expect(svg.match(/>(The image|strongest [^<]*, to itself [^<]*)</g)).toHaveLength(3);
    expect(svg.match(/width="64" height="64"/g)).toHaveLength(2 * 4);
    expect(headings(draw(image, { from: 0, to: 5 })).at(-1)).toBe('What tokens 0 to 4 take');
  });

  it('marks negative weights, which linformer has', () => {
    const document = textDocument('some text', { withClass: false });
    const signed = document.weights.heads.map((head) => ({
      ...head,
      window: null,
      projection: { ...head.projection!, values: head.projection!.values.map((v, i) => (i % 2 ? v : -v)) },
    }));
    const svg = draw({ ...document, weights: { ...document.weights, heads: signed } });
    checkXml(svg);
    expect(svg.includes('orange: negative')).toBe(true);
    // Twelve are the legend's.
    expect(svg.match(/class="tls-n\d+" d=/g)!.length).toBeGreaterThan(12);
  });
});
