/**
 * A picture of what one token of an image takes in one block of a vision model: from its window, from the slots and what they are
 * made of, from the global token, and what the global token takes itself.
 */
import type { RgbImage } from '@transformer-ls/formats';
import {
  areaSize,
  type GridArea,
  type GridBlockWeights,
  type GridPlace,
} from '../models/vision/grid-weights.js';
import { HEAT_STYLE, heatLegend, heatMap, levelOf, PHOTOGRAPH_HEAT_STYLE, scaleTop } from './heat.js';
import { evenParts, type HeadMaps, headMaps } from './image-attention-shares.js';
import { type Frame, PHOTOGRAPH_STYLE, photograph, photographDefinitions } from './photograph.js';
import { shareBars } from './share-bars.js';
import { EDGE, FONT, Sheet } from './sheet.js';
import { timesText } from './slot-panels.js';
import { element, svgDocument, text } from './svg.js';
import { CHART_STYLE } from './theme.js';

export interface ImageAttentionPicture {
  readonly title: string;
  readonly subtitle: string;
  /** As the model sees it. */
  readonly image: RgbImage;
  /** Pixels of the image that a token of this block stands for, a side. */
  readonly patch: number;
  readonly weights: GridBlockWeights;
  /** Which heads, from 0. */
  readonly heads: readonly number[];
}

const WIDTH = 1080;
const PHOTOGRAPH_SIZE = 300;
const PANEL_SIZE = 240;
const SLOT_SIZE = 112;
const GAP = 18;
const SMALL_GAP = 14;
/** Beyond these the picture would be longer than anybody looks at. */
const MOST_SLOTS = 32;
const MOST_GLOBALS = 4;

const STYLE = [
  '.tls-mark{fill:none;stroke-width:1.6}',
  '.tls-halo{fill:none;stroke-width:3.6;stroke-opacity:.75}',
  '.tls-dashed{stroke-dasharray:4 3}',
  '.tls-over{opacity:.82}',
].join('');

/** What all panels share. */
interface Scene {
  readonly picture: ImageAttentionPicture;
  readonly top: number;
  readonly sheet: Sheet;
  readonly heads: readonly HeadMaps[];
}

/** Draws the picture as one stand-alone SVG document, readable on light and dark pages. */
export function imageAttentionPicture(picture: ImageAttentionPicture): string {
  const heads = headMaps(picture.weights, picture.heads);
  const scene = { picture, heads, top: scaleTop(strongest(heads)), sheet: new Sheet(WIDTH) };
  const { sheet, top } = scene;
  sheet.title(picture.title);
  sheet.line(picture.subtitle);
  drawScale(sheet, top);
  drawQuestion(scene);
  drawDirect(scene);
  drawSlots(scene);
  drawThroughSlots(scene);
  drawGlobals(scene);
  const height = sheet.y + EDGE;
  const page = element('rect', { class: 'tls-page', width: WIDTH, height, rx: 6 });
  const style = CHART_STYLE + HEAT_STYLE + PHOTOGRAPH_HEAT_STYLE + PHOTOGRAPH_STYLE + STYLE;
  return svgDocument({ title: picture.title, style, width: WIDTH, height, fontSize: FONT }, [
    photographDefinitions(picture.image),
    page,
    ...sheet.parts,
  ]);
}

function strongest(heads: readonly HeadMaps[]): number {
  const maps = heads.flatMap(({ direct, slots, throughSlots, ofGlobals }) => [
    direct,
    throughSlots,
    ...slots.map(({ times }) => times),
    ...ofGlobals.map(({ times }) => times),
  ]);
  return maps.reduce((most, map) => Math.max(most, map === null ? 0 : largest(map)), 0);
}

function largest(map: Float32Array): number {
  return map.reduce((most, value) => Math.max(most, value), 0);
}

function drawScale(sheet: Sheet, top: number): void {
  sheet.y += 10;
  sheet.place(36, (y) => {
    const words = 'how many times an even share a weight is; less than an even share has no colour';
    return (
      heatLegend(top, EDGE + 6, y, false) + text(words, { class: 'tls-muted', x: EDGE + 330, y: y + 10 })
    );
  });
}

/** The image with the token, and how it divides up what it takes. */
function drawQuestion(scene: Scene): void {
  const { picture, sheet, heads } = scene;
  const { query, grid, seen, segment, attention } = picture.weights;
  const outlined =
    seen === null
      ? 'It sees no token directly.'
      : segment === null
        ? `With full attention it sees all ${areaSize(seen)} tokens directly.`
        : `It sees the ${areaSize(seen)} tokens around its segment directly (outlined; dashed: the segment).`;
  sheet.heading(
    `What the token at row ${query.row}, column ${query.column} takes, and from where`,
    `The marked token is one of ${grid.rows} x ${grid.columns}, each ${picture.patch} x ${picture.patch} pixels. ${outlined} All that it takes is one softmax: together it is 1.`,
  );
  const cell = cellSize(whole(picture), PHOTOGRAPH_SIZE);
  const size = { width: grid.columns * cell, height: grid.rows * cell };
  const left = EDGE + Math.max(PHOTOGRAPH_SIZE, size.width) + 30;
  const bars = [
    { name: 'with no preference', parts: evenParts(picture.weights) },
    ...heads.map(({ name, parts }) => ({ name, parts })),
  ];
  const { slots, globals } = picture.weights.heads[0]!;
  const names = {
    tokens: attention === 'full' ? 'tokens' : 'tokens around it',
    slots: `${slots.length} slots`,
    globals: globals.length === 1 ? 'global token' : 'global tokens',
  };
  const shares = shareBars(bars, names, WIDTH - EDGE - left);
  sheet.y += 4;
  sheet.place(Math.max(size.height, shares.height) + 6, (y) => {
    const place = { x: EDGE, y, ...size };
    const shown = picturePart(whole(picture), picture.patch);
    return (
      photograph('colours', shown, place) +
      marks(picture, whole(picture), place, 'all') +
      shares.draw(left, y)
    );
  });
}

function drawDirect(scene: Scene): void {
  const { picture, sheet, heads } = scene;
  const { seen, segment } = picture.weights;
  if (seen === null) return;
  const zoomed = segment === null ? whole(picture) : widened(seen, picture.weights);
  sheet.heading(
    segment === null ? 'From the tokens' : 'From the tokens around it',
    segment === null
      ? 'What the token takes from every token of the grid.'
      : 'The part of the image inside the outline above, enlarged: what the token takes from each token that it sees directly.',
  );
  const panels = heads.map(({ name, direct }) => ({
    name,
    note: `strongest ${timesText(largest(direct!))} an even share`,
    map: direct!,
    area: zoomed,
  }));
  drawPanels(scene, panels, PANEL_SIZE, 'all');
}

function drawSlots(scene: Scene): void {
  const { picture, sheet, heads } = scene;
  const R = picture.weights.heads[0]!.slots.length;
  if (R === 0) return;
  const left = R > MOST_SLOTS ? ` The first ${MOST_SLOTS} of ${R} are drawn.` : '';
  sheet.heading(
    'What the slots are made of',
    `Each head compresses the whole image to ${R} slots, which every token sees. A panel shows which tokens a slot is made of and what the marked token takes from it, the largest share first.${left}`,
  );
  for (const { head, parts, slots } of heads) {
    if (head === null) continue;
    const taken = parts.slots.reduce((a, b) => a + b, 0);
    sheet.headOf(head, `the marked token takes ${(100 * taken).toFixed(1)} % from slots`);
    const panels = slots.slice(0, MOST_SLOTS).map(({ number, taken, times }) => ({
      name: `${(100 * taken).toFixed(1)} %`,
      note: `slot ${number + 1}, peak ${timesText(largest(times))}`,
      map: times,
      area: whole(picture),
    }));
    drawPanels(scene, panels, SLOT_SIZE, 'none');
  }
}

function drawThroughSlots(scene: Scene): void {
  const { picture, sheet, heads } = scene;
  if (heads[0]!.throughSlots === null) return;
  sheet.heading(
    'Through the slots, followed to their tokens',
    'What the token takes from slots comes from these places: each slot is followed to what it is made of, in proportion to what is taken from it. Outlined: what the token sees directly.',
  );
  const panels = heads.map(({ name, throughSlots }) => ({
    name,
    note: `strongest ${timesText(largest(throughSlots!))} an even share`,
    map: throughSlots!,
    area: whole(picture),
  }));
  drawPanels(scene, panels, PANEL_SIZE, 'window');
}

function drawGlobals(scene: Scene): void {
  const { picture, sheet, heads } = scene;
  const C = heads[0]!.ofGlobals.length;
  if (C === 0) return;
  const results =
    picture.weights.attention === 'full'
      ? ''
      : ' It takes from what each token has found out in this block, which is drawn at the place of the token.';
  sheet.heading(
    C === 1 ? 'What the global token takes' : 'What the global tokens take',
    `A global token belongs to no place: it sees the whole image, and every token sees it.${results}${C > MOST_GLOBALS ? ` The first ${MOST_GLOBALS} of ${C} are drawn.` : ''}`,
  );
  const panels = heads.flatMap(({ name, ofGlobals }) =>
    ofGlobals.slice(0, MOST_GLOBALS).map(({ times, fromGlobals }, one) => ({
      name: C === 1 ? name : `${name}, global token ${one + 1}`,
      note: `strongest ${timesText(largest(times))}, from ${C === 1 ? 'itself' : 'global tokens'} ${(100 * fromGlobals).toFixed(1)} %`,
      map: times,
      area: whole(picture),
    })),
  );
  drawPanels(scene, panels, PANEL_SIZE, 'none');
}

/** A map over a part of the grid. */
interface Panel {
  readonly name: string;
  readonly note: string;
  /** Of the whole grid, in even shares. */
  readonly map: Float32Array;
  readonly area: GridArea;
}

const CAPTION = 34;

/** Side by side, in as many rows as are needed. */
function drawPanels(
  { picture, top, sheet }: Scene,
  panels: readonly Panel[],
  most: number,
  mark: Mark,
): void {
  const { area } = panels[0]!;
  const cell = cellSize(area, most);
  const size = { width: (area.right - area.left) * cell, height: (area.bottom - area.top) * cell };
  const step = Math.max(size.width, most) + (most === SLOT_SIZE ? SMALL_GAP : GAP);
  const across = Math.max(1, Math.floor((WIDTH - 2 * EDGE + GAP) / step));
  for (let begin = 0; begin < panels.length; begin += across)
    sheet.place(CAPTION + size.height + 12, (y) =>
      panels
        .slice(begin, begin + across)
        .map(({ name, note, map }, i) => {
          const place = { x: EDGE + i * step, y: y + CAPTION, ...size };
          return [
            text(name, { class: 'tls-ink', x: place.x, y: y + 12, 'font-weight': 600 }),
            text(note, {
              class: 'tls-muted',
              x: place.x,
              y: y + 27,
              'font-size': most === SLOT_SIZE ? 10 : FONT,
            }),
            photograph('ground', picturePart(area, picture.patch), place),
            heatOver(map, picture, area, place, top),
            marks(picture, area, place, mark),
          ].join('');
        })
        .join(''),
    );
}

function heatOver(
  map: Float32Array,
  { weights: { grid } }: ImageAttentionPicture,
  { top: firstRow, left, bottom, right }: GridArea,
  { x, y, width, height }: Frame,
  top: number,
): string {
  const size = { rows: bottom - firstRow, columns: right - left };
  const cells = { x, y, columnWidth: width / size.columns, rowHeight: height / size.rows };
  const level = (row: number, column: number) =>
    levelOf(map[(firstRow + row) * grid.columns + left + column]!, top);
  const heat = heatMap(size, level, cells);
  return heat === '' ? '' : element('g', { class: 'tls-over' }, heat);
}

/** What is outlined: the token asked about, its segment and what it sees; only what it sees; nothing. */
type Mark = 'all' | 'window' | 'none';

function marks({ weights }: ImageAttentionPicture, shown: GridArea, place: Frame, mark: Mark): string {
  const { query, segment, seen } = weights;
  if (mark === 'none') return '';
  const window = segment === null || seen === null ? '' : outline(seen, shown, place, '');
  if (mark === 'window' && window !== '') return window;
  const own = { top: query.row, left: query.column, bottom: query.row + 1, right: query.column + 1 };
  const cell = place.width / (shown.right - shown.left);
  return [
    window,
    segment === null ? '' : outline(segment, shown, place, ' tls-dashed'),
    cell < 7 ? ring(query, shown, place, cell) : outline(own, shown, place, ''),
  ].join('');
}

function outline(area: GridArea, shown: GridArea, place: Frame, look: string): string {
  const cell = place.width / (shown.right - shown.left);
  const box = {
    x: place.x + (area.left - shown.left) * cell,
    y: place.y + (area.top - shown.top) * cell,
    width: (area.right - area.left) * cell,
    height: (area.bottom - area.top) * cell,
  };
  return (
    element('rect', { class: 'tls-halo', ...box }) +
    element('rect', { class: `tls-mark tls-c0${look}`, ...box })
  );
}

/** A token too small for an outline of its own. */
function ring({ row, column }: GridPlace, shown: GridArea, place: Frame, cell: number): string {
  const at = {
    cx: place.x + (column + 0.5 - shown.left) * cell,
    cy: place.y + (row + 0.5 - shown.top) * cell,
    r: 4.5,
  };
  return (
    element('circle', { class: 'tls-halo', ...at }) + element('circle', { class: 'tls-mark tls-c0', ...at })
  );
}

function whole({ weights: { grid } }: ImageAttentionPicture): GridArea {
  return { top: 0, left: 0, bottom: grid.rows, right: grid.columns };
}

/** One token more on each side where there is one, to see what the window ends at. */
function widened({ top, left, bottom, right }: GridArea, { grid }: GridBlockWeights): GridArea {
  return {
    top: Math.max(0, top - 1),
    left: Math.max(0, left - 1),
    bottom: Math.min(grid.rows, bottom + 1),
    right: Math.min(grid.columns, right + 1),
  };
}

/** Tokens as pixels of the image. */
function picturePart({ top, left, bottom, right }: GridArea, patch: number): Frame {
  return { x: left * patch, y: top * patch, width: (right - left) * patch, height: (bottom - top) * patch };
}

/** Pixels of the page for a token; large ones in halves, so that at twice the density all cells are equal. */
function cellSize({ top, left, bottom, right }: GridArea, most: number): number {
  const cell = most / Math.max(bottom - top, right - left);
  return cell < 2 ? cell : Math.floor(2 * cell) / 2;
}
