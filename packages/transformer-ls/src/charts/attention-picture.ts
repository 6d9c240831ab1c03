/**
 * A picture of what one layer of a classifier attends to in one example: what the class token takes, what the compressed keys
 * ("slots") are made of, and what single tokens take from slots and neighbours.
 */
import type { HeadWeights, LayerWeights } from '../models/sequence-classifier/attention-weights.js';
import { type RowShares, rowsPanel, rowsWidth } from './attention-rows.js';
import {
  columnsOf,
  followedShares,
  largestOf,
  poolingShares,
  projectionShares,
  rowsOf,
  type Shares,
  seesDirectly,
  slotShares,
  slotUse,
  type TokenRange,
  windowShares,
} from './attention-shares.js';
import { greyImage, HEAT_STYLE, heatLegend, heatMap, levelOf, scaleTop } from './heat.js';
import { EDGE, FONT, Sheet } from './sheet.js';
import { slotsPanel, slotThumbnails, timesText } from './slot-panels.js';
import { element, svgDocument, text } from './svg.js';
import { CHART_STYLE } from './theme.js';
import { type TokenLook, tokenFlow } from './token-flow.js';

export interface PicturedDocument {
  /** Stands above it where there are two. */
  readonly name: string;
  /** One for each token that the weights are of. */
  readonly labels: readonly string[];
  readonly look: TokenLook;
  /** Grey pixels, side*side tokens, where the document is an image. */
  readonly image: { readonly side: number; readonly pixels: Uint8Array } | null;
  readonly weights: LayerWeights;
}

export interface AttentionPicture {
  readonly title: string;
  readonly subtitle: string;
  readonly documents: readonly PicturedDocument[];
  /** Which heads, from 0. */
  readonly heads: readonly number[];
  /** Which tokens were asked for; null: as many as fit. */
  readonly tokens: TokenRange | null;
}

/** Which tokens are shown where. */
export interface ShownTokens {
  readonly text: TokenRange;
  readonly slots: TokenRange;
  /** null: none, because a row for each pixel from the first says nothing. */
  readonly rows: TokenRange | null;
}

const TEXT_TOKENS = 1500;
const DEFAULT_ROWS = 40;
const MOST_ROWS = 256;
const MOST_SLOTS = 40;
const LEAST_WIDTH = 1000;

/** As many tokens as fit, or of those asked for as many as can be drawn. */
export function shownTokens({ labels, image }: PicturedDocument, asked: TokenRange | null): ShownTokens {
  const all = { from: 0, to: labels.length };
  const range = asked === null ? all : { from: asked.from, to: Math.min(asked.to, labels.length) };
  if (image !== null) return { text: all, slots: all, rows: asked === null ? null : first(range, MOST_ROWS) };
  const text = asked === null ? first(all, TEXT_TOKENS) : range;
  return { text, slots: range, rows: first(range, asked === null ? DEFAULT_ROWS : MOST_ROWS) };
}

function first({ from, to }: TokenRange, most: number): TokenRange {
  return { from, to: Math.min(to, from + most) };
}

/** What is drawn of a head. */
interface HeadPanels {
  readonly head: number;
  readonly pooling: Shares;
  /** Of the class token over itself; null where there is none. */
  readonly toItself: number | null;
  /** Slots that are drawn, from 0; those that the tokens take most from where there are too many. */
  readonly numbers: readonly number[];
  readonly made: Shares | null;
  /** What the tokens take from each of the slots on average, of all that they take. */
  readonly use: readonly number[];
  readonly rows: RowShares | null;
}

interface DocumentPanels {
  readonly document: PicturedDocument;
  readonly shown: ShownTokens;
  readonly heads: readonly HeadPanels[];
}

/** Draws the picture as one stand-alone SVG document, readable on light and dark pages. */
export function attentionPicture(picture: AttentionPicture): string {
  const documents = picture.documents.map((document) => panelsOf(document, picture));
  const panels = documents.flatMap(({ heads }) => heads.flatMap(sharesOf));
  const top = scaleTop(largestOf(panels));
  const isSigned = panels.some(({ times }) => times.some((value) => value < 0));
  const sheet = new Sheet(Math.max(LEAST_WIDTH, ...documents.map(widthOf)));
  sheet.title(picture.title);
  sheet.line(picture.subtitle);
  drawLegend(sheet, top, isSigned);
  for (const document of documents) drawDocument(sheet, document, top, documents.length > 1);
  const height = sheet.y + EDGE;
  const page = element('rect', { class: 'tls-page', width: sheet.width, height, rx: 6 });
  const style = CHART_STYLE + HEAT_STYLE;
  return svgDocument({ title: picture.title, style, width: sheet.width, height, fontSize: FONT }, [
    page,
    ...sheet.parts,
  ]);
}

function panelsOf(document: PicturedDocument, { heads, tokens }: AttentionPicture): DocumentPanels {
  const shown = shownTokens(document, tokens);
  return { document, shown, heads: heads.map((head) => headPanels(document, shown, head)) };
}

function headPanels({ weights, labels }: PicturedDocument, shown: ShownTokens, number: number): HeadPanels {
  const head = weights.heads[number]!;
  const length = labels.length;
  const use =
    head.slots === null ? [] : [...slotUse(head.slots)].slice(weights.firstSlotIsClassToken ? 1 : 0);
  const numbers = drawnSlots(use);
  const pooling = poolingShares(weights, head, length);
  const range = Array.from({ length: shown.text.to - shown.text.from }, (_, i) => shown.text.from + i);
  return {
    head: number,
    pooling: columnsOf(pooling, range),
    toItself: head.classToken?.[0] ?? null,
    numbers,
    use: numbers.map((number) => use[number]!),
    made: head.projection === null ? null : rowsOf(projectionShares(head.projection, shown.slots), numbers),
    rows: shown.rows === null ? null : rowsOfHead(head, weights, shown.rows, numbers, length),
  };
}

function rowsOfHead(
  head: HeadWeights,
  { firstSlotIsClassToken }: LayerWeights,
  rows: TokenRange,
  numbers: readonly number[],
  length: number,
): RowShares {
  const slots = slotShares(head, length, rows);
  const chosen = firstSlotIsClassToken ? [0, ...numbers.map((number) => number + 1)] : numbers;
  return {
    slots: columnsOf(slots, chosen),
    slotNames: [...(firstSlotIsClassToken ? [''] : []), ...numbers.map((number) => String(number + 1))],
    window: head.window === null ? null : windowShares(head, length, rows),
    sees: (row, column) =>
      head.window !== null && seesDirectly(head.window, rows.from + row, rows.from + column),
    followed: head.projection === null ? null : followedShares(head, firstSlotIsClassToken, rows, rows),
  };
}

/** Slots to draw, from 0: those that the tokens take most from, where there are too many. */
function drawnSlots(use: readonly number[]): number[] {
  const most = use.map((_, number) => number).sort((a, b) => use[b]! - use[a]!);
  return most.slice(0, MOST_SLOTS).sort((a, b) => a - b);
}

function sharesOf({ pooling, made, rows }: HeadPanels): Shares[] {
  return [pooling, made, rows?.slots, rows?.window, rows?.followed].filter(
    (one): one is Shares => one !== null && one !== undefined,
  );
}

function widthOf({ heads }: DocumentPanels): number {
  const rows = heads[0]?.rows;
  if (rows === null || rows === undefined) return 0;
  const maps = (rows.window === null ? 0 : 1) + (rows.followed === null ? 0 : 1);
  return rowsWidth(rows.slots.rows, rows.slots.columns, maps);
}

function drawLegend(sheet: Sheet, top: number, signed: boolean): void {
  sheet.y += 10;
  sheet.place(signed ? 46 : 36, (y) => {
    const words = `how many times an even share a weight is; less than an even share has no colour${signed ? '; orange: negative' : ''}`;
    return (
      heatLegend(top, EDGE + 6, y, signed) + text(words, { class: 'tls-muted', x: EDGE + 330, y: y + 10 })
    );
  });
}

function drawDocument(sheet: Sheet, panels: DocumentPanels, top: number, isNamed: boolean): void {
  const { document } = panels;
  if (isNamed) {
    sheet.y += 14;
    sheet.title(document.name);
  }
  if (document.image === null) drawTexts(sheet, panels, top);
  else drawImages(sheet, panels, document.image, top);
  if (panels.heads.some(({ made }) => made !== null)) drawSlots(sheet, panels, top);
  if (panels.shown.rows !== null) drawRows(sheet, panels, panels.shown.rows, top);
}

/** What the first part of the picture shows: it depends on what stands for the sequence. */
function poolingMeaning({ document, heads }: DocumentPanels): [heading: string, meaning: string] {
  if (heads[0]?.toItself !== null)
    return [
      'What the class token takes',
      'The class token stands for the whole document. It takes from what each token has found out, which is drawn at the place of the token.',
    ];
  if (document.weights.startsWithClassToken)
    return ['What the first token takes', 'The first token stands for the whole document.'];
  return [
    'What tokens take on average',
    'This layer has no class token: the colour of a token is what it gives to all tokens on average, slots followed to what they are made of.',
  ];
}

function poolingNote({ pooling, toItself }: HeadPanels): string {
  const own = toItself === null ? '' : `, to itself ${(100 * toItself).toFixed(1)} %`;
  return `strongest ${timesText(largestOf([pooling]))} an even share${own}`;
}

function drawTexts(sheet: Sheet, panels: DocumentPanels, top: number): void {
  const { document, shown, heads } = panels;
  sheet.heading(...poolingMeaning(panels));
  const labels = document.labels.slice(shown.text.from, shown.text.to);
  for (const head of heads) {
    sheet.headOf(head.head, poolingNote(head));
    const levels = Array.from(head.pooling.times, (times) => levelOf(times, top));
    const width = sheet.width - 2 * EDGE;
    const { height } = tokenFlow(labels, levels, document.look, { x: EDGE, y: 0, width });
    sheet.place(height, (y) => tokenFlow(labels, levels, document.look, { x: EDGE, y, width }).markup);
  }
}

const IMAGE_SIZE = 288;
/** Two lines above an image. */
const CAPTIONS = 34;

function drawImages(
  sheet: Sheet,
  panels: DocumentPanels,
  { side, pixels }: NonNullable<PicturedDocument['image']>,
  top: number,
): void {
  sheet.heading(...poolingMeaning(panels));
  const cell = Math.max(1, Math.floor(IMAGE_SIZE / side));
  const size = cell * side;
  const across = Math.max(1, Math.floor((sheet.width - 2 * EDGE + 24) / (size + 24)));
  const captions = [
    ['The image', ''],
    ...panels.heads.map((head) => [`Head ${head.head + 1}`, poolingNote(head)]),
  ] as [name: string, note: string][];
  const drawOne = (which: number, x: number, upper: number) => {
    const [name, note] = captions[which]!;
    const y = upper + CAPTIONS;
    const caption =
      text(name, { class: 'tls-ink', x, y: upper + 12, 'font-weight': 600 }) +
      text(note, { class: 'tls-muted', x, y: upper + 27 });
    if (which === 0) return caption + greyImage(pixels, side, { x, y }, size);
    const { times } = panels.heads[which - 1]!.pooling;
    // The first token stands before the image where it stands for it.
    const before = times.length - side * side;
    const place = { x, y, columnWidth: cell, rowHeight: cell };
    const level = (row: number, column: number) => levelOf(times[before + row * side + column]!, top);
    const frame = element('rect', { class: 'tls-frame tls-grid', x, y, width: size, height: size });
    return caption + heatMap({ rows: side, columns: side }, level, place) + frame;
  };
  for (let begin = 0; begin < captions.length; begin += across)
    sheet.place(size + CAPTIONS + 14, (y) =>
      captions
        .slice(begin, begin + across)
        .map((_, i) => drawOne(begin + i, EDGE + i * (size + 24), y))
        .join(''),
    );
}

function drawSlots(sheet: Sheet, { document, shown, heads }: DocumentPanels, top: number): void {
  const total = document.weights.heads[0]!.projection!.rows;
  const drawn = heads[0]!.numbers.length;
  const left = drawn < total ? ` The ${drawn} of ${total} that the tokens take most from are drawn.` : '';
  const where =
    document.image === null
      ? 'One row a slot: where in the document its weight lies, and its strongest token between its neighbours.'
      : 'One image a slot: which pixels it is made of.';
  sheet.heading(
    'What the slots are made of',
    `The whole document is compressed to ${total} slots, which every token sees. ${where}${left}`,
  );
  for (const { head, made, numbers, use } of heads) {
    if (made === null) continue;
    if (document.image !== null && made.columns === document.image.side ** 2) {
      const { height, draw } = slotThumbnails(made, numbers, top, sheet.width);
      sheet.headOf(head, `strongest ${timesText(largestOf([made]))} an even share`);
      sheet.place(height, draw);
      continue;
    }
    const { labels, look } = document;
    const { height, draw, bin } = slotsPanel(
      { shares: made, numbers, use, labels, look, range: shown.slots },
      top,
      sheet.width,
    );
    const columns = bin === 1 ? 'a column a token' : `a column shows the strongest of ${bin} tokens`;
    sheet.headOf(head, columns);
    sheet.place(height, draw);
  }
}

function drawRows(sheet: Sheet, { document, heads }: DocumentPanels, range: TokenRange, top: number): void {
  const own = document.weights.firstSlotIsClassToken ? ' The first slot is the class token.' : '';
  const meaning =
    heads[0]?.rows?.slots.columns === 0
      ? 'One row a token: what it takes from each token.'
      : `One row a token. What it takes from the slots and directly from tokens is one softmax: together the whole row is 1.${own}`;
  sheet.heading(`What tokens ${range.from} to ${range.to - 1} take`, meaning);
  const labels = document.labels.slice(range.from, range.to);
  for (const { head, rows } of heads) {
    if (rows === null) continue;
    sheet.headOf(
      head,
      `strongest ${timesText(largestOf([rows.slots, ...(rows.window === null ? [] : [rows.window])]))} an even share`,
    );
    const { height, draw } = rowsPanel({ ...rows, labels, look: document.look }, top);
    sheet.place(height, draw);
  }
}
