// Trees of ListOps: nested minima, maxima, medians and sums modulo ten of digits (Nangia and Bowman 2018), as tokens of a byte each.

import { quoted } from './describe-value.js';

/** A text that is no tree; the message is one line. */
export class ListOpsError extends Error {
  override readonly name = 'ListOpsError';
}

/** Words by token: 0 to 9 a digit, then the four operators and the closing bracket. */
export const listOpsVocabulary = [...'0123456789', '[MIN', '[MAX', '[MED', '[SM', ']'] as const;
const FIRST_OPERATOR = 10;
const CLOSE = 14;

type Operator = (values: readonly number[]) => number;

/** In the order of the vocabulary. */
export const listOpsOperators: readonly Operator[] = [
  // As arguments of one call, the values of a long list would not fit on the stack.
  (values) => values.reduce((least, value) => Math.min(least, value)),
  (values) => values.reduce((most, value) => Math.max(most, value)),
  median,
  (values) => values.reduce((sum, value) => sum + value, 0) % 10,
];

export interface ListOpsExample {
  /** With closing brackets; `withoutBrackets` makes the variant that the published pipeline trained on. */
  readonly tokens: Uint8Array;
  /** 0 … 9 */
  readonly label: number;
}

/**
 * The tokens that the published pipeline kept: its tokeniser dropped everything but letters and digits, so that nobody can tell
 * where a list ends (spec 2.6). Results to be compared with the paper's need this variant.
 */
export function withoutBrackets(tokens: Uint8Array): Uint8Array {
  return tokens.filter((token) => token !== CLOSE);
}

/**
 * A tree as Long Range Arena writes it, `( ( ( [MAX 4 ) 2 ) ] )`: parentheses are dropped, and the value is computed anew. Words have
 * any white space between them.
 *
 * @throws ListOpsError where a word is unknown or brackets do not match
 */
export function parseListOps(source: string): ListOpsExample {
  const tokens = Uint8Array.from(listOpsWords(source), (word) => {
    const token = tokenOf.get(word);
    if (token === undefined)
      throw new ListOpsError(`expected a digit, [MIN, [MAX, [MED, [SM or ], received ${quoted(word)}`);
    return token;
  });
  return { tokens, label: evaluateListOps(tokens) };
}

/** A word for each token of a tree: what white space separates, without parentheses. */
export function listOpsWords(source: string): string[] {
  return source.split(/\s+/).filter((word) => word !== '(' && word !== ')' && word !== '');
}

const tokenOf = new Map<string, number>(listOpsVocabulary.map((word, token) => [word, token]));

/** The value of a tree, 0 … 9. @throws ListOpsError where the tokens are not exactly one tree */
export function evaluateListOps(tokens: Uint8Array): number {
  const open: { operator: number; values: number[] }[] = [];
  let result: number | undefined;
  for (const [place, token] of tokens.entries()) {
    if (result !== undefined) throw new ListOpsError(`expected the end of the tree at token ${place}`);
    if (token >= FIRST_OPERATOR && token < CLOSE) {
      open.push({ operator: token - FIRST_OPERATOR, values: [] });
      continue;
    }
    const value = token === CLOSE ? closed(open.pop(), place) : token;
    const parent = open.at(-1);
    if (parent === undefined) result = value;
    else parent.values.push(value);
  }
  if (result === undefined)
    throw new ListOpsError(`expected a whole tree, received one with ${open.length} open lists`);
  return result;
}

function closed(list: { operator: number; values: number[] } | undefined, place: number): number {
  if (list === undefined || list.values.length === 0)
    throw new ListOpsError(`expected an operator and its arguments before the ] at token ${place}`);
  return listOpsOperators[list.operator]!(list.values);
}

/** The lower half of the mean of the two middle values where their number is even, as the original truncates it. */
function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  if (sorted.length % 2 === 1) return sorted[Math.floor(middle)]!;
  return Math.floor((sorted[middle - 1]! + sorted[middle]!) / 2);
}
