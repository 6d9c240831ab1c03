/** Where tokens take from, one bar a head: what they see directly, slots, global tokens. */
import type { TakenParts } from './image-attention-shares.js';
import { element, text, textWidth } from './svg.js';

export interface ShareBar {
  readonly name: string;
  readonly parts: TakenParts;
}

const ROW = 42;
const BAR = 14;
const NAME_WIDTH = 150;
const LEGEND = 22;
/** Narrower pieces are not told apart. */
const LEAST_PIECE = 2;
/** What is left free between two pieces. */
const GAP = 1;

const SOURCES = [
  { key: 'tokens', colour: 'tls-c0' },
  { key: 'slots', colour: 'tls-c2' },
  { key: 'globals', colour: 'tls-c3' },
] as const;

export type SourceNames = Readonly<Record<(typeof SOURCES)[number]['key'], string>>;

/**
 * @param names of what is taken from; what no bar takes from is left out, and where that leaves one, all bars
 * @returns height in pixels, and what draws it with its upper left corner at x, y
 */
export function shareBars(bars: readonly ShareBar[], names: SourceNames, width: number) {
  const used = SOURCES.filter(({ key }) => bars.some(({ parts }) => totalOf(parts, key) > 0));
  if (used.length < 2) return { height: 0, draw: () => '' };
  const scale = width - NAME_WIDTH;
  const draw = (x: number, y: number) => {
    const drawn = bars.map((bar, i) => {
      const upper = y + LEGEND + i * ROW;
      return drawBar(bar, used, names, x, upper, scale);
    });
    return legend(used, names, x + NAME_WIDTH, y) + drawn.join('');
  };
  return { height: LEGEND + bars.length * ROW, draw };
}

function totalOf({ tokens, slots, globals }: TakenParts, key: keyof TakenParts): number {
  if (key === 'slots') return slots.reduce((a, b) => a + b, 0);
  return key === 'tokens' ? tokens : globals;
}

type Source = (typeof SOURCES)[number];

function legend(used: readonly Source[], names: SourceNames, x: number, y: number): string {
  let at = x;
  return used
    .map(({ key, colour }) => {
      const swatch = piece(colour, at, at + 14, y + 8);
      const label = text(names[key], { class: 'tls-ink', x: at + 20, y: y + 12 });
      at += 20 + textWidth(names[key], 12) + 22;
      return swatch + label;
    })
    .join('');
}

function drawBar(
  { name, parts }: ShareBar,
  used: readonly Source[],
  names: SourceNames,
  x: number,
  y: number,
  width: number,
): string {
  let at = x + NAME_WIDTH;
  const pieces = used.flatMap(({ key, colour }) =>
    (key === 'slots' ? parts.slots : [parts[key]]).map((share) => {
      const begin = at;
      at += share * width;
      const gap = share * width > LEAST_PIECE ? GAP : 0;
      return piece(colour, begin, at - gap, y + BAR / 2);
    }),
  );
  const figures = used
    .map(({ key }) => `${names[key]} ${(100 * totalOf(parts, key)).toFixed(1)} %`)
    .join(', ');
  return [
    text(name, { class: 'tls-ink', x, y: y + 11 }),
    ...pieces,
    text(figures, { class: 'tls-muted', x: x + NAME_WIDTH, y: y + BAR + 13, 'font-size': 11 }),
  ].join('');
}

function piece(colour: string, from: number, to: number, y: number): string {
  return element('line', {
    class: colour,
    x1: from,
    x2: Math.max(from, to),
    y1: y,
    y2: y,
    'stroke-width': BAR,
  });
}
