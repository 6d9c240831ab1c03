/** Trees of ListOps drawn with the published distribution (the long variant of Long Range Arena, Tay et al. 2021). */
import { type ListOpsExample, listOpsOperators, listOpsVocabulary } from '@transformer-ls/formats';
import type { Random } from '../data/random.js';

const FIRST_OPERATOR = listOpsVocabulary.indexOf('[MIN');
const CLOSE = listOpsVocabulary.indexOf(']');

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
    const operator = random.below(listOpsOperators.length);
    const count = 2 + random.below(shape.maxArguments - 1);
    if (!this.write(FIRST_OPERATOR + operator)) return undefined;
    const values: number[] = [];
    for (let i = 0; i < count; i++) {
      const value = this.node(depth + 1);
      if (value === undefined) return undefined;
      values.push(value);
    }
    return this.write(CLOSE) ? listOpsOperators[operator]!(values) : undefined;
  }

  /** Room for belowLength - 1 tokens. */
  private write(token: number): boolean {
    if (this.length + 1 >= this.shape.belowLength) return false;
    this.tokens[this.length++] = token;
    return true;
  }
}
