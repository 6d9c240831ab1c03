/**
 * A picture of what one token of an image takes in one block of a vision model: from its window, from the slots and what they are
 * made of, from the global token, and what the global token takes itself.
 */
import type { RgbImage } from '@transformer-ls/formats';
import { areaSize, type GridArea, type GridBlockWeights } from '../models/vision/grid-weights.js';
import { HEAT_STYLE, heatLegend, PHOTOGRAPH_HEAT_STYLE, scaleTop } from './heat.js';
import { evenParts, type HeadMaps, headMaps } from './image-attention-shares.js';
import {
  drawPanels,
  marks,
  PANEL_STYLE,
  type Panel,
  type PanelScene,
  pixelsOf,
  sizeOf,
} from './image-panels.js';
import { PHOTOGRAPH_STYLE, photograph, photographDefinitions } from './photograph.js';
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
/** Of a single head, whose maps stand in one row. */
const LARGE_PANEL_SIZE = 330;
const SLOT_SIZE = 112;
/** Beyond these the picture would be longer than anybody looks at. */
const MOST_SLOTS = 32;
const MOST_GLOBALS = 4;

interface Scene extends PanelScene {
  readonly picture: ImageAttentionPicture;
  readonly heads: readonly HeadMaps[];
}

/** Draws the picture as one stand-alone SVG document, readable on light and dark pages. */
export function imageAttentionPicture(picture: ImageAttentionPicture): string {
  const { weights, patch } = picture;
  const heads = headMaps(weights, picture.heads);
  const sheet = new Sheet(WIDTH);
  const scene = { picture, weights, patch, heads, top: scaleTop(strongest(heads)), sheet };
  sheet.title(picture.title);
  sheet.line(picture.subtitle);
  drawScale(scene);
  drawQuestion(scene);
  if (heads.length === 1) drawOneHead(scene);
  else for (const part of partsOf(scene)) drawPart(scene, part);
  const height = sheet.y + EDGE;
  const page = element('rect', { class: 'tls-page', width: WIDTH, height, rx: 6 });
  const style = [CHART_STYLE, HEAT_STYLE, PHOTOGRAPH_HEAT_STYLE, PHOTOGRAPH_STYLE, PANEL_STYLE].join('');
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

function drawScale({ sheet, top }: Scene): void {
  sheet.y += 10;
  sheet.place(36, (y) => {
    const words = 'how many times an even share a weight is; less than an even share has no colour';
    return (
      heatLegend(top, EDGE + 6, y, false) + text(words, { class: 'tls-muted', x: EDGE + 330, y: y + 10 })
    );
  });
}

/** The image with the token, and how it divides up what it takes. */
function drawQuestion({ picture, weights, patch, sheet, heads }: Scene): void {
  const { query, grid, seen, segment, attention } = weights;
  const outlined =
    seen === null
      ? 'It sees no token directly.'
      : segment === null
        ? `With full attention it sees all ${areaSize(seen)} tokens directly.`
        : `It sees the ${areaSize(seen)} tokens around its segment directly (outlined; dashed: the segment).`;
  sheet.heading(
    `What the token at row ${query.row}, column ${query.column} takes, and from where`,
    `The marked token is one of ${grid.rows} x ${grid.columns}, each ${patch} x ${patch} pixels. ${outlined} All that it takes is one softmax: together it is 1.`,
  );
  const size = sizeOf(whole(weights), PHOTOGRAPH_SIZE);
  const left = EDGE + PHOTOGRAPH_SIZE + 30;
  const bars = [
    { name: 'with no preference', parts: evenParts(weights) },
    ...heads.map(({ name, parts }) => ({ name, parts })),
  ];
  const { slots, globals } = weights.heads[0]!;
  const names = {
    tokens: attention === 'full' ? 'tokens' : 'tokens around it',
    slots: `${slots.length} slots`,
    globals: globals.length === 1 ? 'global token' : 'global tokens',
  };
  const shares = shareBars(bars, names, WIDTH - EDGE - left);
  sheet.y += 4;
  sheet.place(Math.max(size.height, shares.height) + 6, (y) => {
    const place = { x: EDGE, y, ...size };
    const image = photograph('colours', pixelsOf(whole(weights), picture.patch), place);
    return image + marks(weights, whole(weights), place, 'all') + shares.draw(left, y);
  });
}

/** What is said about maps, and the maps. */
interface Part {
  readonly heading: string;
  readonly meaning: string;
  readonly panels: readonly Panel[] | 'slots';
}

/** Those that this attention has. */
function partsOf(scene: Scene): Part[] {
  return [directPart(scene), slotsPart(scene), throughSlotsPart(scene), globalsPart(scene)].filter(
    (part) => part !== null,
  );
}

function drawPart(scene: Scene, { heading, meaning, panels }: Part): void {
  scene.sheet.heading(heading, meaning);
  if (panels === 'slots') drawSlots(scene);
  else drawPanels(scene, panels, PANEL_SIZE);
}

/** One head has no more than a few maps: they stand side by side. */
function drawOneHead(scene: Scene): void {
  const parts = partsOf(scene);
  const panels = parts.flatMap(({ heading, panels }) =>
    panels === 'slots'
      ? []
      : panels.map((panel, i) => ({
          ...panel,
          name: panels.length === 1 ? heading : `${heading}, ${i + 1}`,
        })),
  );
  const meanings = parts.flatMap(({ heading, meaning, panels }) =>
    panels === 'slots' ? [] : [`${heading}: ${meaning[0]!.toLowerCase()}${meaning.slice(1)}`],
  );
  scene.sheet.heading('Where in the image', meanings.join(' '));
  drawPanels(scene, panels, LARGE_PANEL_SIZE);
  for (const part of parts) if (part.panels === 'slots') drawPart(scene, part);
}

function directPart({ weights, heads }: Scene): Part | null {
  const { seen, segment } = weights;
  if (seen === null) return null;
  const isWhole = segment === null;
  return {
    heading: isWhole ? 'From the tokens' : 'From the tokens around it',
    meaning: isWhole
      ? 'What the token takes from every token of the grid.'
      : 'The part of the image inside the outline above, enlarged, and what the token takes from each token that it sees directly.',
    panels: heads.map(({ name, direct }) => ({
      name,
      note: strongestText(direct!),
      map: direct!,
      area: isWhole ? whole(weights) : widened(seen, weights),
      mark: 'all',
    })),
  };
}

function throughSlotsPart({ weights, heads }: Scene): Part | null {
  if (heads[0]!.throughSlots === null) return null;
  return {
    heading: 'Through the slots',
    meaning:
      'Each slot is followed to the tokens that it is made of, in proportion to what is taken from it (outlined: what the token sees directly).',
    panels: heads.map(({ name, throughSlots }) => ({
      name,
      note: strongestText(throughSlots!),
      map: throughSlots!,
      area: whole(weights),
      mark: 'window',
    })),
  };
}

function globalsPart({ weights, heads }: Scene): Part | null {
  const C = heads[0]!.ofGlobals.length;
  if (C === 0) return null;
  const results =
    weights.attention === 'full'
      ? ''
      : ' It takes from what each token has found out in this block, which is drawn at the place of the token.';
  const left = C > MOST_GLOBALS ? ` The first ${MOST_GLOBALS} of ${C} are drawn.` : '';
  return {
    heading: C === 1 ? 'What the global token takes' : 'What the global tokens take',
    meaning: `A global token has no place of its own, sees the whole image, and every token sees it.${results}${left}`,
    panels: heads.flatMap(({ name, ofGlobals }) =>
      ofGlobals.slice(0, MOST_GLOBALS).map(({ times, fromGlobals }, one) => ({
        name: C === 1 ? name : `${name}, global token ${one + 1}`,
        note: `strongest ${timesText(largest(times))}, from ${C === 1 ? 'itself' : 'global tokens'} ${percent(fromGlobals)}`,
        map: times,
        area: whole(weights),
        mark: 'none' as const,
      })),
    ),
  };
}

function slotsPart({ weights }: Scene): Part | null {
  const R = weights.heads[0]!.slots.length;
  if (R === 0) return null;
  const left = R > MOST_SLOTS ? ` The first ${MOST_SLOTS} of ${R} are drawn.` : '';
  return {
    heading: 'What the slots are made of',
    meaning: `Each head compresses the whole image to ${R} slots, which every token sees. A panel shows which tokens a slot is made of and what the marked token takes from it, the largest share first.${left}`,
    panels: 'slots',
  };
}

function drawSlots(scene: Scene): void {
  const { weights, sheet, heads } = scene;
  for (const { head, parts, slots } of heads) {
    if (head === null) continue;
    const total = parts.slots.reduce((a, b) => a + b, 0);
    sheet.headOf(head, `the marked token takes ${percent(total)} from slots`);
    const panels = slots.slice(0, MOST_SLOTS).map(({ number, taken, times }) => ({
      name: percent(taken),
      note: `slot ${number + 1}, peak ${timesText(largest(times))}`,
      map: times,
      area: whole(weights),
      mark: 'none' as const,
    }));
    drawPanels(scene, panels, SLOT_SIZE);
  }
}

function strongestText(map: Float32Array): string {
  return `strongest ${timesText(largest(map))} an even share`;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function whole({ grid }: GridBlockWeights): GridArea {
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
