/** What the compressed keys of a head ("slots") are made of: one row, or for images one small image, a slot. */
import { binned, largestOf, rowsOf, type Shares, type TokenRange } from './attention-shares.js';
import { heatMap, levelOf } from './heat.js';
import { EDGE, FONT } from './sheet.js';
import { element, text } from './svg.js';
import { linearTicks } from './ticks.js';
import { ADVANCE, type TokenLook } from './token-flow.js';

export interface SlotsPanel {
  /** (slots, tokens of the range) */
  readonly shares: Shares;
  /** Number of each row's slot, from 0. */
  readonly numbers: readonly number[];
  /** What the tokens take from each slot on average, of all that they take. */
  readonly use: readonly number[];
  /** Of all tokens. */
  readonly labels: readonly string[];
  readonly look: TokenLook;
  readonly range: TokenRange;
}

const ROW = 14;
const NUMBER_WIDTH = 28;
const CAPTIONS = 16;
const AXIS = 20;
/** For the strongest token with its neighbours. */
const SNIPPET_WIDTH = 320;
const USE_END = 46;
const PEAK_END = 92;
const SNIPPET_FONT = 11;
const BEFORE_WIDTH = 184;
const LEAST_COLUMN = 2;

/** A row a slot: its number, where in the document its weight lies, and its strongest token with the tokens around it. */
export function slotsPanel(panel: SlotsPanel, top: number, width: number) {
  const { shares, range } = panel;
  const most = width - 2 * EDGE - NUMBER_WIDTH - SNIPPET_WIDTH;
  const bin = Math.ceil(shares.columns / Math.floor(most / LEAST_COLUMN));
  const drawn = binned(shares, bin);
  const columnWidth = Math.min(24, Math.floor(most / drawn.columns));
  const x = EDGE + NUMBER_WIDTH;
  const mapWidth = columnWidth * drawn.columns;
  const draw = (upper: number) => {
    const y = upper + CAPTIONS;
    const place = { x, y, columnWidth, rowHeight: ROW };
    const level = (row: number, column: number) => levelOf(drawn.times[row * drawn.columns + column]!, top);
    return [
      captions(x, x + mapWidth + 8, upper + 11),
      heatMap(drawn, level, place),
      element('rect', { class: 'tls-frame tls-grid', x, y, width: mapWidth, height: ROW * drawn.rows }),
      ...panel.numbers.map((number, row) =>
        text(String(number + 1), {
          class: 'tls-muted',
          x: x - 6,
          y: y + ROW * row + 11,
          'text-anchor': 'end',
        }),
      ),
      axis(range, x, y + ROW * drawn.rows, columnWidth / bin),
      ...panel.numbers.map((_, row) => snippet(panel, row, x + mapWidth + 8, y + ROW * row)),
    ].join('');
  };
  return { height: CAPTIONS + ROW * drawn.rows + AXIS, draw, bin };
}

/** Numbers of tokens below a map. */
function axis({ from, to }: TokenRange, x: number, y: number, tokenWidth: number): string {
  const most = Math.max(1, Math.floor(((to - from) * tokenWidth) / 70));
  const ticks = linearTicks(from, to - 1, most).filter(({ value }) => Number.isInteger(value));
  return ticks
    .map(({ value, label }) =>
      text(label, {
        class: 'tls-muted',
        x: x + (value - from + 0.5) * tokenWidth,
        y: y + 14,
        'text-anchor': 'middle',
      }),
    )
    .join('');
}

/** The strongest token of a slot between its neighbours, and how strong it is. */
function snippet(
  { shares, use, labels, look, range }: SlotsPanel,
  row: number,
  x: number,
  y: number,
): string {
  const own = shares.times.subarray(row * shares.columns, (row + 1) * shares.columns);
  const best = own.reduce((most, value, i) => (Math.abs(value) > Math.abs(own[most]!) ? i : most), 0);
  const at = range.from + best;
  const [around, gap] = look === 'words' ? [3, ' '] : [11, ''];
  const before = labels.slice(Math.max(0, at - around), at).join(gap);
  const after = labels.slice(at + 1, at + 1 + around).join(gap);
  const strongest = `${gap}${labels[at]!}${gap}`;
  const left = x + BEFORE_WIDTH;
  const right = left + strongest.length * SNIPPET_FONT * ADVANCE;
  const baseline = y + 11;
  const words = [
    text(before, { class: 'tls-muted', x: left, y: baseline, 'text-anchor': 'end' }),
    text(strongest.trim(), {
      class: 'tls-ink',
      x: (left + right) / 2,
      y: baseline,
      'text-anchor': 'middle',
      'font-weight': 700,
    }),
    text(after, { class: 'tls-muted', x: right, y: baseline }),
  ].join('');
  const figures = [
    text(`${(100 * use[row]!).toFixed(1)} %`, { x: x + USE_END, y: baseline }),
    text(timesText(own[best]!), { x: x + PEAK_END, y: baseline }),
  ];
  const ends = { class: 'tls-muted', 'text-anchor': 'end' };
  return (
    element('g', ends, figures.join('')) +
    element('g', { class: 'tls-token', 'font-size': SNIPPET_FONT }, words)
  );
}

/** What the columns are. */
function captions(map: number, right: number, y: number): string {
  const named = [
    ['slot', map - 6],
    ['taken', right + USE_END],
    ['peak', right + PEAK_END],
    ['strongest token', right + BEFORE_WIDTH + 50],
  ] as const;
  const drawn = named.map(([name, x]) => text(name, { x, y }));
  return element('g', { class: 'tls-muted', 'text-anchor': 'end', 'font-size': 11 }, drawn.join(''));
}

/** `3.4×` */
export function timesText(times: number): string {
  const size = Math.abs(times);
  return `${times < 0 ? '−' : ''}${size.toFixed(size < 9.95 ? 1 : 0)}×`;
}

const THUMBNAIL = 64;
const THUMBNAIL_CELLS = 32;

/** Images side by side, each with its slot's number: shares are (slots, side*side). */
export function slotThumbnails(shares: Shares, numbers: readonly number[], top: number, width: number) {
  const side = Math.sqrt(shares.columns);
  const step = Math.ceil(side / THUMBNAIL_CELLS);
  const cells = Math.ceil(side / step);
  const across = Math.max(1, Math.floor((width - 2 * EDGE) / (THUMBNAIL + 10)));
  const lines = Math.ceil(numbers.length / across);
  const draw = (y: number) =>
    numbers
      .map((number, row) => {
        const left = EDGE + (row % across) * (THUMBNAIL + 10);
        const upper = y + Math.floor(row / across) * (THUMBNAIL + 22);
        const small = shrunk(rowsOf(shares, [row]), side, step);
        const cell = THUMBNAIL / cells;
        const place = { x: left, y: upper, columnWidth: cell, rowHeight: cell };
        const level = (r: number, c: number) => levelOf(small[r * cells + c]!, top);
        return [
          heatMap({ rows: cells, columns: cells }, level, place),
          element('rect', {
            class: 'tls-frame tls-grid',
            x: left,
            y: upper,
            width: THUMBNAIL,
            height: THUMBNAIL,
          }),
          text(`${number + 1}: ${timesText(largestOf([rowsOf(shares, [row])]))}`, {
            class: 'tls-muted',
            x: left,
            y: upper + THUMBNAIL + FONT,
            'font-size': 10,
          }),
        ].join('');
      })
      .join('');
  return { height: lines * (THUMBNAIL + 22), draw };
}

/** The largest of each `step` x `step` pixels. */
function shrunk({ times }: Shares, side: number, step: number): Float32Array {
  const cells = Math.ceil(side / step);
  const small = new Float32Array(cells * cells);
  times.forEach((value, i) => {
    const at = Math.floor(Math.floor(i / side) / step) * cells + Math.floor((i % side) / step);
    if (Math.abs(value) > Math.abs(small[at]!)) small[at] = value;
  });
  return small;
}
