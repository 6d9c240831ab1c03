/** Tokens as running text, each on the colour of its weight. */
import { heatStretches, isInverse, type Stretch } from './heat.js';
import { element, text } from './svg.js';
import { isSubstitute } from './token-labels.js';

/** Bytes of text, one a cell, or words. */
export type TokenLook = 'characters' | 'words';

/** Width of one character of the fixed-width face, in font sizes. */
export const ADVANCE = 0.602;

const FONT = 13;
const ROW = 21;

interface Cell {
  readonly label: string;
  readonly x: number;
  readonly row: number;
  readonly width: number;
  readonly level: number;
}

/** Draws tokens from left to right and line by line; `levels` has a level for each. */
export function tokenFlow(
  labels: readonly string[],
  levels: readonly number[],
  look: TokenLook,
  place: { readonly x: number; readonly y: number; readonly width: number },
): { markup: string; height: number } {
  const cells = layOut(labels, levels, look, place.width);
  const stretches = joined(cells);
  const { x, y } = place;
  const ground = heatStretches(stretches, { x, y, columnWidth: 1, rowHeight: ROW });
  const classes = ['tls-ink', 'tls-muted', 'tls-inverse'];
  const glyphs = classes.map((name) => {
    const own = cells.filter((cell) => cell.label !== '' && classOf(cell) === name);
    const drawn = own.map(({ label, x: left, row, width }) => {
      // A character of several bytes reaches over the cells of the bytes behind its first.
      const middle = look === 'words' ? left + width / 2 : left + (FONT * ADVANCE) / 2;
      return text(label, { x: x + middle, y: y + row * ROW + 15 });
    });
    return drawn.length === 0 ? '' : element('g', { class: `tls-token ${name}` }, drawn.join(''));
  });
  const rows = (cells.at(-1)?.row ?? 0) + 1;
  const centred = element('g', { 'font-size': FONT, 'text-anchor': 'middle' }, glyphs.join(''));
  return { markup: ground + centred, height: rows * ROW };
}

function classOf({ label, level }: Cell): string {
  if (isInverse(level)) return 'tls-inverse';
  return isSubstitute(label) ? 'tls-muted' : 'tls-ink';
}

/** Lines end behind a line end, and before a word that would not fit. */
function layOut(labels: readonly string[], levels: readonly number[], look: TokenLook, most: number): Cell[] {
  const cells: Cell[] = [];
  const widthOf = (label: string) => FONT * ADVANCE * (look === 'words' ? label.length + 0.8 : 1);
  let [x, row] = [0, 0];
  for (const [i, label] of labels.entries()) {
    const width = widthOf(label);
    // The space after the last word of a line may hang over.
    const needed = look === 'words' ? width : label === '·' ? 0 : width * wordLength(labels, i, most / width);
    if (x > 0 && (x + needed > most || (look === 'characters' && labels[i - 1] === '↵'))) {
      x = 0;
      row += 1;
    }
    cells.push({ label, x, row, width, level: levels[i]! });
    x += width;
  }
  return cells;
}

/** Characters from the beginning of a word to its end; 1 inside a word, or where no line can hold it. */
function wordLength(labels: readonly string[], at: number, most: number): number {
  if (at > 0 && !isSubstitute(labels[at - 1]!)) return 1;
  let end = at;
  while (end < labels.length && end - at <= most && !isSubstitute(labels[end]!)) end++;
  return end - at > most ? 1 : Math.max(1, end - at);
}

/** Neighbours of one level as one stretch. */
function joined(cells: readonly Cell[]): Stretch[] {
  const stretches: { x: number; y: number; width: number; level: number }[] = [];
  for (const { x, row, width, level } of cells) {
    const last = stretches.at(-1);
    if (last !== undefined && last.level === level && last.y === row) last.width += width;
    else stretches.push({ x, y: row, width, level });
  }
  return stretches;
}
