/** What single tokens take: one row a token, from slots and neighbours, and both followed to the tokens. */
import type { Shares } from './attention-shares.js';
import { type HeatPlace, heatMap, levelOf } from './heat.js';
import { EDGE } from './sheet.js';
import { element, text, textWidth } from './svg.js';
import { ADVANCE, type TokenLook } from './token-flow.js';

export interface RowShares {
  /** (tokens, slots) and (tokens, tokens), under one softmax; without columns where there are none. */
  readonly slots: Shares;
  readonly window: Shares | null;
  /** Whether a token can see another of the rows directly. */
  readonly sees: (row: number, column: number) => boolean;
  /** What stands over the columns of `slots`; empty for the class token's. */
  readonly slotNames: readonly string[];
  /** (tokens, tokens): slots followed to what they are made of; null where there are none. */
  readonly followed: Shares | null;
}

export interface RowsPanel extends RowShares {
  /** Of the rows. */
  readonly labels: readonly string[];
  readonly look: TokenLook;
}

const CELL = 11;
const LABEL_FONT = 11;
const SLOT_WIDTH = 6;
const SLOT_FONT = 9;
const GAP = 26;
const CAPTION = 20;

/** Pixels of the panel with this many tokens and slots, and one or two maps of tokens. */
export function rowsWidth(tokens: number, slots: number, maps: number): number {
  return 2 * EDGE + 40 + slots * SLOT_WIDTH + (slots > 0 ? GAP : 0) + maps * (tokens * CELL + GAP + 40);
}

export function rowsPanel(panel: RowsPanel, top: number) {
  const { slots, window, followed, labels, look } = panel;
  const longest = look === 'words' ? labels.reduce((most, { length }) => Math.max(most, length), 1) : 1;
  const labelWidth = longest * LABEL_FONT * ADVANCE + 8;
  const labelHeight = look === 'words' ? labelWidth : 16;
  const upper = CAPTION + labelHeight;
  const draw = (y: number) => {
    const parts: string[] = [];
    let x = EDGE;
    const add = (shares: Shares, columnWidth: number, caption: string, above: (x: number) => string) => {
      x += labelWidth;
      const place = { x, y: y + upper, columnWidth, rowHeight: CELL };
      const width = columnWidth * shares.columns;
      const level = (row: number, column: number) =>
        levelOf(shares.times[row * shares.columns + column]!, top);
      parts.push(
        text(caption, { class: 'tls-ink', x, y: y + 12 }),
        shares === window ? reachOf(panel, place) : '',
        heatMap(shares, level, place),
        element('rect', { class: 'tls-frame tls-grid', x, y: y + upper, width, height: CELL * shares.rows }),
        rowLabels(labels, x - 5, y + upper),
        above(x),
      );
      x += width + GAP;
    };
    const tokensAbove = (left: number) => columnLabels(labels, look, left, y + upper - 5);
    if (slots.columns > 0)
      add(slots, SLOT_WIDTH, 'from slots', (left) => slotLabels(panel.slotNames, left, y + upper - 5));
    if (window !== null)
      add(window, CELL, slots.columns > 0 ? 'from tokens around it' : 'from tokens', tokensAbove);
    if (followed !== null) add(followed, CELL, 'from tokens, slots followed to theirs', tokensAbove);
    return parts.join('');
  };
  return { height: upper + CELL * slots.rows + 12, draw };
}

/** A faint ground where tokens see one another: what is not seen is no weak weight. */
function reachOf({ sees, slots }: RowsPanel, place: HeatPlace): string {
  const size = { rows: slots.rows, columns: slots.rows };
  return heatMap(
    size,
    (row, column) => (sees(row, column) ? 1 : 0),
    place,
    () => ({ class: 'tls-grid tls-seen' }),
  );
}

/** As many of the names as have room, evenly apart. */
function slotLabels(names: readonly string[], x: number, y: number): string {
  const widest = names.reduce((most, name) => Math.max(most, textWidth(name, SLOT_FONT)), 1);
  const every = Math.ceil((widest + 3) / SLOT_WIDTH);
  const drawn = names.map((name, column) =>
    name === '' || column % every !== every - 1 ? '' : text(name, { x: x + (column + 0.5) * SLOT_WIDTH, y }),
  );
  return element(
    'g',
    { class: 'tls-muted', 'text-anchor': 'middle', 'font-size': SLOT_FONT },
    drawn.join(''),
  );
}

function rowLabels(labels: readonly string[], x: number, y: number): string {
  const drawn = labels.map((label, row) => (label === '' ? '' : text(label, { x, y: y + CELL * row + 9.5 })));
  const look = { class: 'tls-token tls-ink', 'font-size': LABEL_FONT, 'text-anchor': 'end' };
  return element('g', look, drawn.join(''));
}

/** Words stand upright, to be as narrow as their columns. */
function columnLabels(labels: readonly string[], look: TokenLook, x: number, y: number): string {
  const drawn = labels.map((label, column) => {
    if (label === '') return '';
    const middle = x + (column + 0.5) * CELL;
    if (look === 'characters') return text(label, { x: middle, y, 'text-anchor': 'middle' });
    const turned = `rotate(-90 ${(middle + 4).toFixed(2)} ${y.toFixed(2)})`;
    return text(label, { x: middle + 4, y, transform: turned });
  });
  return element('g', { class: 'tls-token tls-ink', 'font-size': LABEL_FONT }, drawn.join(''));
}
