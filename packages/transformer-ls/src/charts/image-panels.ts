/** Maps of weights over an image, side by side: the image grey and faint, colours over it, and what the map is asked about outlined. */
import type { GridArea, GridBlockWeights } from '../models/vision/grid-weights.js';
import { heatMap, levelOf } from './heat.js';
import { type Frame, photograph } from './photograph.js';
import { EDGE, FONT, type Sheet } from './sheet.js';
import { element, text } from './svg.js';

/** What is outlined: the token asked about, its segment and what it sees; only what it sees; nothing. */
export type Mark = 'all' | 'window' | 'none';

/** A map over a part of the grid. */
export interface Panel {
  readonly name: string;
  readonly note: string;
  /** Of the whole grid, row by row, in even shares. */
  readonly map: Float32Array;
  readonly area: GridArea;
  readonly mark: Mark;
}

/** What all panels of a picture have in common. */
export interface PanelScene {
  readonly sheet: Sheet;
  readonly weights: GridBlockWeights;
  /** Pixels of the image that a token stands for, a side. */
  readonly patch: number;
  /** Even shares of the strongest colour. */
  readonly top: number;
}

export const PANEL_STYLE = [
  '.tls-mark{fill:none;stroke-width:1.6}',
  '.tls-halo{fill:none;stroke-width:3.6;stroke-opacity:.75}',
  '.tls-dashed{stroke-dasharray:4 3}',
  '.tls-over{opacity:.82}',
].join('');

/** Two lines above a panel. */
const CAPTION = 34;
const GAP = 18;
/** Panels smaller than this have smaller notes and gaps. */
const SMALL_PANEL = 160;
/** Tokens smaller than this get a ring in place of an outline. */
const SMALL_TOKEN = 7;

/** As many of the panels in a row as fit, each at most `most` pixels wide and high. */
export function drawPanels(scene: PanelScene, panels: readonly Panel[], most: number): void {
  const { sheet } = scene;
  const isSmall = most < SMALL_PANEL;
  const step = most + (isSmall ? GAP - 4 : GAP);
  const across = Math.max(1, Math.floor((sheet.width - 2 * EDGE + GAP) / step));
  for (let begin = 0; begin < panels.length; begin += across) {
    const row = panels.slice(begin, begin + across);
    const height = Math.max(...row.map(({ area }) => sizeOf(area, most).height));
    sheet.place(CAPTION + height + 12, (y) =>
      row.map((panel, i) => drawPanel(scene, panel, EDGE + i * step, y, most)).join(''),
    );
  }
}

function drawPanel(
  { weights, patch, top }: PanelScene,
  panel: Panel,
  x: number,
  y: number,
  most: number,
): string {
  const { name, note, map, area, mark } = panel;
  const place = { x, y: y + CAPTION, ...sizeOf(area, most) };
  const noteSize = most < SMALL_PANEL ? FONT - 2 : FONT;
  return [
    text(name, { class: 'tls-ink', x, y: y + 12, 'font-weight': 600 }),
    text(note, { class: 'tls-muted', x, y: y + 27, 'font-size': noteSize }),
    photograph('ground', pixelsOf(area, patch), place),
    heatOver(map, weights.grid.columns, area, place, top),
    marks(weights, area, place, mark),
  ].join('');
}

function heatOver(map: Float32Array, columns: number, area: GridArea, place: Frame, top: number): string {
  const size = { rows: area.bottom - area.top, columns: area.right - area.left };
  const cells = {
    x: place.x,
    y: place.y,
    columnWidth: place.width / size.columns,
    rowHeight: place.height / size.rows,
  };
  const level = (row: number, column: number) =>
    levelOf(map[(area.top + row) * columns + area.left + column]!, top);
  const heat = heatMap(size, level, cells);
  return heat === '' ? '' : element('g', { class: 'tls-over' }, heat);
}

/** Outlines over the part `shown` of the grid, which is drawn at `place`. */
export function marks(weights: GridBlockWeights, shown: GridArea, place: Frame, mark: Mark): string {
  const { query, segment, seen } = weights;
  if (mark === 'none') return '';
  const window = segment === null || seen === null ? '' : outline(seen, shown, place, '');
  if (mark === 'window' && window !== '') return window;
  const own = { top: query.row, left: query.column, bottom: query.row + 1, right: query.column + 1 };
  const isSmall = place.width / (shown.right - shown.left) < SMALL_TOKEN;
  return [
    window,
    segment === null ? '' : outline(segment, shown, place, ' tls-dashed'),
    isSmall ? ring(own, shown, place) : outline(own, shown, place, ''),
  ].join('');
}

function outline(area: GridArea, shown: GridArea, place: Frame, look: string): string {
  const box = placed(area, shown, place);
  return (
    element('rect', { class: 'tls-halo', ...box }) +
    element('rect', { class: `tls-mark tls-c0${look}`, ...box })
  );
}

function ring(token: GridArea, shown: GridArea, place: Frame): string {
  const { x, y, width, height } = placed(token, shown, place);
  const circle = { cx: x + width / 2, cy: y + height / 2, r: 4.5 };
  return (
    element('circle', { class: 'tls-halo', ...circle }) +
    element('circle', { class: 'tls-mark tls-c0', ...circle })
  );
}

/** Where tokens lie on the page. */
function placed({ top, left, bottom, right }: GridArea, shown: GridArea, place: Frame): Frame {
  const cell = place.width / (shown.right - shown.left);
  return {
    x: place.x + (left - shown.left) * cell,
    y: place.y + (top - shown.top) * cell,
    width: (right - left) * cell,
    height: (bottom - top) * cell,
  };
}

/** Tokens as pixels of the image. */
export function pixelsOf({ top, left, bottom, right }: GridArea, patch: number): Frame {
  return { x: left * patch, y: top * patch, width: (right - left) * patch, height: (bottom - top) * patch };
}

/** On the page, at most `most` pixels. */
export function sizeOf(
  { top, left, bottom, right }: GridArea,
  most: number,
): Pick<Frame, 'width' | 'height'> {
  const cell = cellSize(Math.max(bottom - top, right - left), most);
  return { width: (right - left) * cell, height: (bottom - top) * cell };
}

/** Pixels of the page for a token; large ones in halves, so that at twice the density all cells are equal. */
function cellSize(tokens: number, most: number): number {
  const cell = most / tokens;
  return cell < 2 ? cell : Math.floor(2 * cell) / 2;
}
