/**
 * Heat maps of weights that share something out: a colour says how many times an even share a weight is. So an even
 * distribution has no colour, and panels with few and with many entries can be compared on one scale.
 */
import { type Attributes, coordinate, element, text } from './svg.js';
import { DARK, LIGHT } from './theme.js';

/** Shades between an even share and the top of the scale. */
export const LEVELS = 12;
/** Below this the strongest weight is not worth the strongest colour: noise must not look like a pattern. */
const LEAST_TOP = 4;
const LARGEST_TOP = 2 ** 14;

/** From the page to the strongest colour; dark pages get brighter with the weight. */
const RAMPS = {
  light: {
    more: ['#e4f0f8', '#7fbbe0', '#0072b2', '#00304d'],
    negative: ['#fbe9dd', '#f0a26b', '#d55e00', '#5e2900'],
  },
  dark: {
    more: ['#15293a', '#1c5f8f', '#5cb8f2', '#e2f3ff'],
    negative: ['#33221a', '#8f4313', '#ff9a52', '#fff0e4'],
  },
} as const;

/** On photographs, which are drawn grey: warm colours, as nothing else in them has. Negative weights are not drawn there. */
const PHOTOGRAPH_RAMPS = {
  light: ['#ffe08a', '#f59b3a', '#d1381f', '#5e0a12'],
  dark: ['#7a4a08', '#d9661f', '#ffb347', '#fff6d8'],
} as const;

/** Levels from here on are far enough from the page that text on them takes the colour of the page. */
const INVERSE_LEVEL = 7;

export const HEAT_STYLE = [
  '.tls-heat path{fill:none;stroke-width:1}',
  ".tls-token,.tls-token text{font-family:ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace}",
  '.tls-frame{fill:none}',
  '.tls-heat .tls-seen{stroke-opacity:.55}',
  ...rules('light', LIGHT.page),
  `@media (prefers-color-scheme:dark){${rules('dark', DARK.page).join('')}}`,
].join('');

/** After HEAT_STYLE: the colours of the levels, and of the legend, where maps lie over photographs. */
export const PHOTOGRAPH_HEAT_STYLE = [
  ...levelRules('h', PHOTOGRAPH_RAMPS.light),
  `@media (prefers-color-scheme:dark){${levelRules('h', PHOTOGRAPH_RAMPS.dark).join('')}}`,
].join('');

function rules(theme: keyof typeof RAMPS, page: string): string[] {
  const { more, negative } = RAMPS[theme];
  return [...levelRules('h', more), ...levelRules('n', negative), `.tls-inverse{fill:${page}}`];
}

function levelRules(name: 'h' | 'n', stops: readonly string[]): string[] {
  return Array.from({ length: LEVELS }, (_, i) => `.tls-${name}${i + 1}{stroke:${shade(stops, i + 1)}}`);
}

/** The colour of a level, between the neighbouring stops of a ramp. */
function shade(stops: readonly string[], level: number): string {
  const place = ((level - 1) / (LEVELS - 1)) * (stops.length - 1);
  const below = Math.min(stops.length - 2, Math.floor(place));
  const [from, to] = [stops[below]!, stops[below + 1]!].map(channels) as [number[], number[]];
  const mixed = from.map((value, i) => Math.round(value + (place - below) * (to[i]! - value)));
  return `#${mixed.map((value) => value.toString(16).padStart(2, '0')).join('')}`;
}

function channels(hex: string): number[] {
  return [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
}

/** How many times an even share the strongest colour stands for: a power of two, at least 4. */
export function scaleTop(largest: number): number {
  if (!(largest > LEAST_TOP)) return LEAST_TOP;
  return Math.min(LARGEST_TOP, 2 ** Math.ceil(Math.log2(largest) - 1e-6));
}

/** The shade of a weight of `times` an even share, 0 (none) to 12; below 0 where the weight is negative. */
export function levelOf(times: number, top: number): number {
  const size = Math.abs(times);
  if (!(size > 1)) return 0;
  const level = Math.min(LEVELS, Math.round((LEVELS * Math.log(size)) / Math.log(top)));
  return times < 0 ? -level : level;
}

/** Whether text on this level needs the colour of the page. */
export function isInverse(level: number): boolean {
  return Math.abs(level) >= INVERSE_LEVEL;
}

/** One coloured stretch: `x`, `y` and `width` in columns and rows. */
export interface Stretch {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly level: number;
}

/** Where a map lies, and the pixels of its columns and rows. */
export interface HeatPlace {
  readonly x: number;
  readonly y: number;
  readonly columnWidth: number;
  readonly rowHeight: number;
}

/** A map of `rows` x `columns` weights; neighbours of one level are one stretch. */
export function heatMap(
  { rows, columns }: { readonly rows: number; readonly columns: number },
  level: (row: number, column: number) => number,
  place: HeatPlace,
  look = heatLook,
): string {
  const stretches: Stretch[] = [];
  for (let y = 0; y < rows; y++)
    for (let x = 0; x < columns; ) {
      const own = level(y, x);
      let end = x + 1;
      while (end < columns && level(y, end) === own) end++;
      stretches.push({ x, y, width: end - x, level: own });
      x = end;
    }
  return heatStretches(stretches, place, look);
}

/** All stretches of a level are one path: a map of many cells stays a small file. */
export function heatStretches(
  stretches: readonly Stretch[],
  { x, y, columnWidth, rowHeight }: HeatPlace,
  look = heatLook,
): string {
  const paths = new Map<number, string[]>();
  for (const one of stretches) {
    if (one.level === 0) continue;
    const path = paths.get(one.level) ?? [];
    if (path.length === 0) paths.set(one.level, path);
    path.push(`M${coordinate(one.x)} ${coordinate(one.y + 0.5)}h${coordinate(one.width)}`);
  }
  const drawn = [...paths].map(([level, path]) => element('path', { ...look(level), d: path.join('') }));
  if (drawn.length === 0) return '';
  const transform = `translate(${coordinate(x)} ${coordinate(y)}) scale(${coordinate(columnWidth)} ${coordinate(rowHeight)})`;
  return element('g', { class: 'tls-heat', transform, 'shape-rendering': 'crispEdges' }, drawn.join(''));
}

/** Attributes of the path of a level. */
function heatLook(level: number): Attributes {
  return { class: level > 0 ? `tls-h${level}` : `tls-n${-level}` };
}

const GREYS = 16;

/** A square picture of grey pixels 0 … 255, `size` pixels wide on the page: what a model was shown. */
export function greyImage(
  pixels: Uint8Array,
  side: number,
  { x, y }: { x: number; y: number },
  size: number,
): string {
  const ground = element('rect', { x, y, width: size, height: size, fill: '#000' });
  const level = (row: number, column: number) =>
    Math.round(((pixels[row * side + column] ?? 0) / 255) * (GREYS - 1));
  const look = (grey: number): Attributes => {
    const value = Math.round((255 * grey) / (GREYS - 1));
    return { stroke: `#${value.toString(16).padStart(2, '0').repeat(3)}` };
  };
  const place = { x, y, columnWidth: size / side, rowHeight: size / side };
  return ground + heatMap({ rows: side, columns: side }, level, place, look);
}

/** The scale: its shades, and how many times an even share they begin at. Returns its markup; it is 300 pixels wide. */
export function heatLegend(top: number, x: number, y: number, signed: boolean): string {
  const width = 300;
  const cell = width / LEVELS;
  const row = (direction: 1 | -1, at: number) =>
    heatStretches(
      Array.from({ length: LEVELS }, (_, i) => ({ x: i, y: 0, width: 1, level: direction * (i + 1) })),
      { x, y: at, columnWidth: cell, rowHeight: 10 },
    );
  const doublings = Math.log2(top);
  const every = Math.ceil(doublings / 7);
  const marks = Array.from({ length: Math.floor(doublings / every) + 1 }, (_, i) => i * every).map((power) =>
    text(`${2 ** power}×`, {
      class: 'tls-muted',
      x: x + (width * power) / doublings,
      y: y + (signed ? 34 : 24),
      'text-anchor': 'middle',
    }),
  );
  const frame = element('rect', { class: 'tls-frame tls-axis', x, y, width, height: signed ? 20 : 10 });
  return [row(1, y), signed ? row(-1, y + 10) : '', frame, ...marks].join('');
}
