/**
 * ListOps: nested minima, maxima, medians and sums modulo ten of digits, whose value is the label (Nangia and Bowman 2018; the
 * long variant of Long Range Arena, Tay et al. 2021).
 *
 * A token is one byte: 0 to 9 a digit, then the four operators and the closing bracket.
 */
import { DataError } from '../data/errors.js';
import type { Random } from '../data/random.js';

export const listOpsVocabulary = [...'0123456789', '[MIN', '[MAX', '[MED', '[SM', ']'] as const;
/** Letters of an unknown word that an error shows. */
const LONGEST_SHOWN = 40;
const FIRST_OPERATOR = 10;
const CLOSE = 14;

type Operator = (values: readonly number[]) => number;

/** In the order of the vocabulary. */
const operators: readonly Operator[] = [
  (values) => Math.min(...values),
  (values) => Math.max(...values),
  median,
  (values) => values.reduce((sum, value) => sum + value, 0) % 10,
];

export interface ListOpsExample {
  /** With closing brackets; `withoutBrackets` makes the variant that the published pipeline trained on. */
  readonly tokens: Uint8Array;
  /** 0 … 9 */
  readonly label: number;
}

/** Sizes of trees; the defaults are those of Long Range Arena. */
export interface ListOpsShape {
  /** Levels: the root is at 1, and at the last there are digits only. */
  readonly maxDepth: number;
  readonly maxArguments: number;
  /** A tree has more tokens than `aboveLength` and fewer than `belowLength`. */
  readonly aboveLength: number;
  readonly belowLength: number;
}

export const publishedShape: ListOpsShape = {
  maxDepth: 10,
  maxArguments: 10,
  aboveLength: 500,
  belowLength: 2000,
};

/** Part of the nodes, above the last level, that are operators. */
const OPERATOR_PROBABILITY = 0.25;

/**
 * Draws trees until one has the right length. Each node above the last level is an operator with probability 1/4, of any of
 * the four kinds, with 2 to `maxArguments` arguments; else any digit.
 */
export function generateListOps(random: Random, shape: ListOpsShape = publishedShape): ListOpsExample {
  const tokens = new Uint8Array(shape.belowLength);
  for (;;) {
    const tree = new TreeWriter(tokens, random, shape);
    const label = tree.node(1);
    if (label !== undefined && tree.length > shape.aboveLength)
      return { tokens: tokens.slice(0, tree.length), label };
  }
}

/** Writes a random tree and computes its value on the way; gives up where it becomes too long. */
class TreeWriter {
  length = 0;

  constructor(
    private readonly tokens: Uint8Array,
    private readonly random: Random,
    private readonly shape: ListOpsShape,
  ) {}

  /** The node's value, or undefined where there is no room. */
  node(depth: number): number | undefined {
    const { random, shape } = this;
    if (depth >= shape.maxDepth || random.unit() > OPERATOR_PROBABILITY) {
      const digit = random.below(10);
      return this.write(digit) ? digit : undefined;
    }
    const operator = random.below(operators.length);
    const count = 2 + random.below(shape.maxArguments - 1);
    if (!this.write(FIRST_OPERATOR + operator)) return undefined;
    const values: number[] = [];
    for (let i = 0; i < count; i++) {
      const value = this.node(depth + 1);
      if (value === undefined) return undefined;
      values.push(value);
    }
    return this.write(CLOSE) ? operators[operator]!(values) : undefined;
  }

  /** Room for belowLength - 1 tokens. */
  private write(token: number): boolean {
    if (this.length + 1 >= this.shape.belowLength) return false;
    this.tokens[this.length++] = token;
    return true;
  }
}

/**
 * The tokens that the published pipeline kept: its tokeniser dropped everything but letters and digits, so that nobody can tell
 * where a list ends (spec 2.6). Results to be compared with the paper's need this variant.
 */
export function withoutBrackets(tokens: Uint8Array): Uint8Array {
  return tokens.filter((token) => token !== CLOSE);
}

/**
 * A tree as Long Range Arena writes it, `( ( ( [MAX 4 ) 2 ) ] )`: parentheses are dropped, and the value is computed anew.
 *
 * @throws DataError where a token is unknown or brackets do not match
 */
export function parseListOps(source: string): ListOpsExample {
  const words = source.split(' ').filter((word) => word !== '(' && word !== ')' && word !== '');
  const tokens = Uint8Array.from(words, (word) => {
    const token = tokenOf.get(word);
    if (token === undefined)
      throw new DataError(
        `expected a digit, [MIN, [MAX, [MED, [SM or ], received ${JSON.stringify(word.slice(0, LONGEST_SHOWN))}`,
      );
    return token;
  });
  return { tokens, label: evaluateListOps(tokens) };
}

const tokenOf = new Map<string, number>(listOpsVocabulary.map((word, token) => [word, token]));

/** The value of a tree, 0 … 9. @throws DataError where the tokens are not exactly one tree */
export function evaluateListOps(tokens: Uint8Array): number {
  const open: { operator: number; values: number[] }[] = [];
  let result: number | undefined;
  for (const [place, token] of tokens.entries()) {
    if (result !== undefined) throw new DataError(`expected the end of the tree at token ${place}`);
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
    throw new DataError(`expected a whole tree, received one with ${open.length} open lists`);
  return result;
}

function closed(list: { operator: number; values: number[] } | undefined, place: number): number {
  if (list === undefined || list.values.length === 0)
    throw new DataError(`expected an operator and its arguments before the ] at token ${place}`);
  return operators[list.operator]!(list.values);
}

/** The lower half of the mean of the two middle values where their number is even, as the original truncates it. */
function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  if (sorted.length % 2 === 1) return sorted[Math.floor(middle)]!;
  return Math.floor((sorted[middle - 1]! + sorted[middle]!) / 2);
}
