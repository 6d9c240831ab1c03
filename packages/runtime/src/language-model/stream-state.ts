/**
 * What a stream has been fed, in tensors of a fixed size: one token or one block at a time.
 *
 * consistent mode: blocks begin where chunks begin, so a prompt goes in blocks, and what is left of it token by token.
 * reference mode: results depend on the cutting as published, so the block that is not complete yet is run again for every token, and
 * what is remembered changes at block ends alone.
 */
import type { ExportedLanguageModel } from '@transformer-ls/formats';
import type { Tensor } from '../engine.js';
import type { Graph, Values } from '../graph.js';

const IDS = 'ids';
export const LOGITS = 'logits';
/** Before the name of what was put in, the name of what comes out of it. */
export const NEXT = 'next.';

export interface LanguageModelGraphs {
  readonly step: Graph | null;
  readonly block: Graph;
}

/** Logits of the last token that was fed, and whatever else was asked for. */
export interface Fed {
  readonly logits: Float32Array;
  readonly others: Values;
}

export class StreamState {
  private state: Values;
  private position = 0;
  /** Reference mode: tokens of the block that is not complete yet. */
  private open: number[] = [];

  constructor(
    private readonly graphs: LanguageModelGraphs,
    private readonly manifest: ExportedLanguageModel,
  ) {
    this.state = { ...graphs.block.emptyInputs([IDS]), ...graphs.step?.emptyInputs([IDS]) };
  }

  /** Bytes of what is remembered. */
  get bytes(): number {
    return Object.values(this.state).reduce((total, { data }) => total + (data as Uint8Array).byteLength, 0);
  }

  /**
   * Takes in as many of these tokens as go in at once, at least one.
   *
   * @returns how many those were, and the logits of the last one
   */
  async feed(
    ids: ArrayLike<number>,
    wanted: readonly string[] = [],
  ): Promise<Fed & { readonly count: number }> {
    const { step } = this.graphs;
    return step === null ? this.feedOpenBlock(ids, wanted) : this.feedAtOnce(step, ids, wanted);
  }

  private async feedAtOnce(step: Graph, ids: ArrayLike<number>, wanted: readonly string[]) {
    const { blockTokens, model } = this.manifest;
    const whole = this.position % model.chunkSize === 0 && ids.length >= blockTokens;
    const count = whole ? blockTokens : 1;
    const fed = await this.run(
      whole ? this.graphs.block : step,
      firstOf(ids, count),
      count - 1,
      wanted,
      true,
    );
    this.position += count;
    return { ...fed, count };
  }

  private async feedOpenBlock(ids: ArrayLike<number>, wanted: readonly string[]) {
    const { blockTokens } = this.manifest;
    const count = Math.min(ids.length, blockTokens - this.open.length);
    this.open.push(...firstOf(ids, count));
    const complete = this.open.length === blockTokens;
    const padded = [...this.open, ...Array<number>(blockTokens - this.open.length).fill(0)];
    const fed = await this.run(this.graphs.block, padded, this.open.length - 1, wanted, complete);
    if (complete) this.open = [];
    this.position += count;
    return { ...fed, count };
  }

  private async run(
    graph: Graph,
    ids: readonly number[],
    last: number,
    wanted: readonly string[],
    commit: boolean,
  ): Promise<Fed> {
    const input = graph.tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]);
    const names = [LOGITS, ...(commit ? Object.keys(this.state).map((name) => NEXT + name) : []), ...wanted];
    const results = await graph.run({ [IDS]: input, ...this.state }, names);
    if (commit)
      this.state = Object.fromEntries(
        Object.keys(this.state).map((name) => [name, results[NEXT + name] as Tensor]),
      );
    const logits = (results[LOGITS] as Tensor).data as Float32Array;
    const { vocabularySize } = this.manifest.model;
    return {
      logits: logits.slice(last * vocabularySize, (last + 1) * vocabularySize),
      others: Object.fromEntries(wanted.map((name) => [name, results[name] as Tensor])),
    };
  }
}

function firstOf(ids: ArrayLike<number>, count: number): number[] {
  return Array.from({ length: count }, (_, i) => ids[i]!);
}
