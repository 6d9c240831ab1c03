import fc from 'fast-check';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { type ImageAttentionPicture, imageAttentionPicture } from '../../src/charts/image-attention.js';
import { evenParts, headMaps } from '../../src/charts/image-attention-shares.js';
import { Random } from '../../src/data/random.js';
import {
  areaSize,
  type GridArea,
  type GridBlockWeights,
  type GridHeadWeights,
} from '../../src/models/vision/grid-weights.js';
import { checkXml, outsidePlaces } from './check-svg.js';

interface Shape {
  readonly rows: number;
  readonly columns: number;
  readonly attention: 'long-short' | 'full';
  readonly reach: number;
  readonly rank: number;
  readonly globalTokens: number;
  readonly heads: number;
}

const usual: Shape = {
  rows: 6,
  columns: 8,
  attention: 'long-short',
  reach: 1,
  rank: 3,
  globalTokens: 1,
  heads: 2,
};

/** Shares of 1 that are not even at all, or exactly even. */
function shares(count: number, random: Random | null): Float32Array {
  const raw = Array.from({ length: count }, () => (random === null ? 1 : random.unit() ** 4 + 1e-6));
  const total = raw.reduce((a, b) => a + b, 0);
  return Float32Array.from(raw, (value) => value / total);
}

/** What an attention of this shape would tell; the token asked about stands in the middle. Without a seed all is even. */
function blockWeights(shape: Shape, seed: number | null): GridBlockWeights {
  const { rows, columns, attention, reach, rank, globalTokens: C } = shape;
  const random = seed === null ? null : new Random(seed);
  const T = rows * columns;
  const query = { row: Math.floor(rows / 2), column: Math.floor(columns / 2) };
  const whole = { top: 0, left: 0, bottom: rows, right: columns };
  const around: GridArea | null =
    reach === 0
      ? null
      : {
          top: Math.max(0, query.row - reach),
          left: Math.max(0, query.column - reach),
          bottom: Math.min(rows, query.row + reach + 1),
          right: Math.min(columns, query.column + reach + 1),
        };
  const seen = attention === 'full' ? whole : around;
  const head = (): GridHeadWeights => {
    const places = Array.from({ length: T }, (_, i) => i).filter(
      (i) => seen !== null && isIn(seen, i, columns),
    );
    const R = attention === 'full' ? 0 : rank;
    const all = shares(places.length + R + C, random);
    const tokens = new Float32Array(T);
    places.forEach((place, i) => {
      tokens[place] = all[i]!;
    });
    return {
      tokens: seen === null ? null : tokens,
      slots: all.subarray(places.length, places.length + R),
      globals: all.subarray(places.length + R),
      projection: Array.from({ length: R }, () => shares(T, random)),
      ofGlobals: Array.from({ length: C }, () => {
        const own = shares(C + T, random);
        return { globals: own.subarray(0, C), tokens: own.subarray(C) };
      }),
    };
  };
  const segment = attention === 'full' ? null : around;
  const heads = Array.from({ length: shape.heads }, head);
  const keys = seen === null ? 0 : areaSize(seen);
  return { attention, grid: { rows, columns }, query, segment, seen, keys, heads };
}

function isIn({ top, left, bottom, right }: GridArea, token: number, columns: number): boolean {
  const [row, column] = [Math.floor(token / columns), token % columns];
  return row >= top && row < bottom && column >= left && column < right;
}

function picture(
  weights: GridBlockWeights,
  changes: Partial<ImageAttentionPicture> = {},
): ImageAttentionPicture {
  const patch = 4;
  const [width, height] = [weights.grid.columns * patch, weights.grid.rows * patch];
  const data = Uint8Array.from({ length: 3 * width * height }, (_, i) => (i * 37) % 256);
  const heads = weights.heads.map((_, head) => head);
  return {
    title: 'a title',
    subtitle: 'more',
    image: { width, height, data },
    patch,
    weights,
    heads,
    ...changes,
  };
}

function headings(svg: string): string[] {
  return [...svg.matchAll(/font-size="14" font-weight="600">([^<]*)</g)].map(([, heading]) => heading!);
}

const mean = (values: Float32Array) => values.reduce((a, b) => a + b, 0) / values.length;

describe('shares of an image', () => {
  it('are 1 everywhere where nothing is preferred', () => {
    for (const attention of ['long-short', 'full'] as const) {
      const weights = blockWeights({ ...usual, attention }, null);
      const [all, first] = headMaps(weights, [0, 1]);
      for (const { direct, throughSlots, slots, ofGlobals, parts } of [all!, first!]) {
        const maps = [
          throughSlots,
          ...slots.map(({ times }) => times),
          ...ofGlobals.map(({ times }) => times),
        ];
        for (const map of maps) for (const times of map ?? []) expect(times).toBeCloseTo(1, 5);
        direct!.forEach((times, token) => {
          expect(times).toBeCloseTo(isIn(weights.seen!, token, usual.columns) ? 1 : 0, 5);
        });
        const even = evenParts(weights);
        expect(parts.tokens).toBeCloseTo(even.tokens, 5);
        expect(parts.globals).toBeCloseTo(even.globals, 5);
        expect(parts.slots).toHaveLength(even.slots.length);
      }
    }
  });

  it('of what comes through slots and of what slots are made of are 1 on average, parts are 1 together', () => {
    const maps = headMaps(blockWeights(usual, 3), [0, 1]);
    expect(maps.map(({ name, head }) => [name, head])).toEqual([
      ['Mean of 2 heads', null],
      ['Head 1', 0],
      ['Head 2', 1],
    ]);
    for (const { throughSlots, slots, parts } of maps) {
      expect(mean(throughSlots!)).toBeCloseTo(1, 5);
      for (const { times } of slots) expect(mean(times)).toBeCloseTo(1, 5);
      expect(parts.tokens + parts.globals + parts.slots.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 5);
    }
  });

  it('follow slots in proportion to what is taken from them', () => {
    const weights = blockWeights(usual, 5);
    const T = usual.rows * usual.columns;
    const [, one, other] = headMaps(weights, [0, 1]);
    for (const [{ throughSlots }, { slots, projection }] of [
      [one!, weights.heads[0]!],
      [other!, weights.heads[1]!],
    ] as const) {
      const total = slots.reduce((a, b) => a + b);
      for (let token = 0; token < T; token++) {
        const expected = projection.reduce((sum, made, slot) => sum + slots[slot]! * made[token]!, 0) / total;
        expect(throughSlots![token]).toBeCloseTo(T * expected, 4);
      }
    }
  });

  it('have the slot that most is taken from first, and no mean where not all heads are asked for', () => {
    const weights = blockWeights({ ...usual, rank: 6, heads: 3 }, 9);
    const maps = headMaps(weights, [2]);
    expect(maps).toHaveLength(1);
    const { slots } = maps[0]!;
    expect(slots.map(({ taken }) => taken)).toEqual([...weights.heads[2]!.slots].sort((a, b) => b - a));
    for (const { number, taken } of slots) expect(weights.heads[2]!.slots[number]).toBe(taken);
  });
});

describe('the picture of an image', () => {
  const shapes = fc.record({
    rows: fc.integer({ min: 1, max: 9 }),
    columns: fc.integer({ min: 1, max: 9 }),
    attention: fc.constantFrom('long-short' as const, 'full' as const),
    reach: fc.integer({ min: 0, max: 3 }),
    rank: fc.integer({ min: 0, max: 9 }),
    globalTokens: fc.integer({ min: 1, max: 6 }),
    heads: fc.integer({ min: 1, max: 5 }),
  });

  it('is valid XML with everything inside, for any grid, window, rank and number of global tokens', () => {
    fc.assert(
      fc.property(shapes, fc.nat(), (shape, seed) => {
        const svg = imageAttentionPicture(picture(blockWeights(shape, seed)));
        checkXml(svg);
        expect(outsidePlaces(svg)).toEqual([]);
      }),
      { numRuns: 40 },
    );
  });

  it('has the parts that the attention has', () => {
    const of = (changes: Partial<Shape>) =>
      headings(imageAttentionPicture(picture(blockWeights({ ...usual, ...changes }, 1))));
    const question = 'What the token at row 3, column 4 takes, and from where';
    const [slots, through, global] = [
      'What the slots are made of',
      'Through the slots',
      'What the global token takes',
    ];
    expect(of({})).toEqual([question, 'From the tokens around it', slots, through, global]);
    expect(of({ reach: 0, globalTokens: 2 })).toEqual([
      question,
      slots,
      through,
      'What the global tokens take',
    ]);
    expect(of({ rank: 0 })).toEqual([question, 'From the tokens around it', global]);
    expect(of({ attention: 'full', globalTokens: 0 })).toEqual([question, 'From the tokens']);
  });

  it('draws one panel a head, and one small panel a slot of each', () => {
    const svg = imageAttentionPicture(picture(blockWeights(usual, 2)));
    // The photograph; window, slots together and global token for the mean and two heads; three slots a head.
    expect(svg.match(/href="#tls-(photograph|grey)"/g)).toHaveLength(1 + 3 * 3 + 2 * 3);
    expect(svg.match(/>slot \d, peak /g)).toHaveLength(6);
    const one = imageAttentionPicture(picture(blockWeights(usual, 2), { heads: [1] }));
    expect(one.match(/href="#tls-(photograph|grey)"/g)).toHaveLength(1 + 3 + 3);
    expect(headings(one).slice(1)).toEqual(['Where in the image', 'What the slots are made of']);
    expect(one.includes('Head 2') && !one.includes('Head 1') && !one.includes('Mean of')).toBe(true);
  });

  it('has no colour where nothing is preferred', () => {
    const svg = imageAttentionPicture(picture(blockWeights(usual, null)));
    // The twelve shades of the scale alone.
    expect(svg.match(/class="tls-h\d+" d=/g)).toHaveLength(12);
  });

  it('marks the token, its segment and what it sees, in the image and enlarged', () => {
    const svg = imageAttentionPicture(
      picture(blockWeights({ ...usual, rank: 0, heads: 1, globalTokens: 0 }, 2)),
    );
    const boxes = [
      ...svg.matchAll(
        /<rect class="tls-mark tls-c0( tls-dashed)?" x="([\d.]+)" y="([\d.]+)" width="([\d.]+)"/g,
      ),
    ];
    // 300 pixels for 8 columns are 37.5 each; 330 for the three that are seen and one more on either side 66.
    expect(boxes.map(([, dashed, , , width]) => [dashed !== undefined, Number(width)])).toEqual([
      [false, 3 * 37.5],
      [true, 3 * 37.5],
      [false, 37.5],
      [false, 3 * 66],
      [true, 3 * 66],
      [false, 66],
    ]);
    // Column 4, the token itself, from the left edge of the page.
    expect(Number(boxes[2]![2])).toBe(24 + 4 * 37.5);
  });

  it('holds the image once in colours and once grey, as another program reads them', async () => {
    const shown = picture(blockWeights(usual, 2));
    const svg = imageAttentionPicture(shown);
    const files = [...svg.matchAll(/href="data:image\/png;base64,([^"]*)"/g)].map(([, text]) =>
      Buffer.from(text!, 'base64'),
    );
    expect(files).toHaveLength(2);
    const [colours, grey] = await Promise.all(files.map((file) => sharp(file).raw().toBuffer()));
    expect([...colours!]).toEqual([...shown.image.data]);
    const { data } = shown.image;
    expect(grey![0]).toBe(Math.round(0.299 * data[0]! + 0.587 * data[1]! + 0.114 * data[2]!));
  });

  it('writes a large image smaller, and shows it whole', async () => {
    const [width, height] = [1600, 1200];
    const image = { width, height, data: new Uint8Array(3 * width * height).fill(90) };
    const svg = imageAttentionPicture(picture(blockWeights(usual, 2), { image, patch: 200 }));
    const [, file] = /href="data:image\/png;base64,([^"]*)"/.exec(svg)!;
    expect(await sharp(Buffer.from(file!, 'base64')).metadata()).toMatchObject({ width: 640, height: 480 });
    expect(svg).toContain('viewBox="0 0 1600 1200"');
    expect(svg).toContain('width="1600" height="1200" preserveAspectRatio="none" href="data:');
  });
});
