/** Attention weights of a text as JSON, for programs: what `attend --json` prints. */
import type { PicturedDocument } from '../charts/attention-picture.js';
import type { TokenRange } from '../charts/attention-shares.js';
import type { HeadWeights, Matrix } from '../models/sequence-classifier/attention-weights.js';
import { formatInteger } from '../text/numbers.js';
import { UsageError } from './errors.js';

/** Beyond this the text would not fit into memory comfortably. */
const MOST_NUMBERS = 5_000_000;
const DIGITS = 6;

/**
 * Of one document: rows are the tokens of the range, and `projection` has their columns.
 *
 * @throws UsageError where there are too many numbers
 */
export function attentionRecord(
  { name, labels, weights }: PicturedDocument,
  heads: readonly number[],
  asked: TokenRange | null,
) {
  const from = asked?.from ?? 0;
  const to = Math.min(asked?.to ?? labels.length, labels.length);
  const numbers = heads.reduce((sum, head) => sum + numbersOf(weights.heads[head]!, to - from), 0);
  if (numbers > MOST_NUMBERS)
    throw new UsageError(
      `--json: expected at most ${formatInteger(MOST_NUMBERS)} weights, these are ${formatInteger(numbers)}; choose some with --tokens and --head`,
    );
  return {
    name,
    length: labels.length,
    tokens: { from, to },
    labels: labels.slice(from, to),
    firstSlotIsClassToken: weights.firstSlotIsClassToken,
    heads: heads.map((head) => headRecord(weights.heads[head]!, head, { from, to }, labels.length)),
  };
}

function numbersOf({ window, slots, projection }: HeadWeights, tokens: number): number {
  return tokens * (1 + (window?.columns ?? 0) + (slots?.columns ?? 0) + (projection?.rows ?? 0));
}

function headRecord(
  { window, slots, projection, classToken }: HeadWeights,
  head: number,
  range: TokenRange,
  length: number,
) {
  const rows = Array.from({ length: range.to - range.from }, (_, i) => range.from + i);
  return {
    head: head + 1,
    classToken:
      classToken === null
        ? null
        : { itself: rounded(classToken[0]!), tokens: rows.map((row) => rounded(classToken[1 + row]!)) },
    window:
      window === null
        ? null
        : rows.map((row) => {
            const first = window.firstKey(row);
            const [begin, end] = [Math.max(0, first), Math.min(length, first + window.columns)];
            return { firstKey: begin, weights: part(window, row, begin - first, end - first) };
          }),
    slots: slots === null ? null : rows.map((row) => part(slots, row, 0, slots.columns)),
    projection:
      projection === null
        ? null
        : Array.from({ length: projection.rows }, (_, slot) => part(projection, slot, range.from, range.to)),
  };
}

/** Columns of a row. */
function part({ columns, values }: Matrix, row: number, from: number, to: number): number[] {
  return Array.from(values.subarray(row * columns + from, row * columns + to), rounded);
}

function rounded(weight: number): number {
  return Number(weight.toPrecision(DIGITS));
}
