/** Streaming generation: a prompt of any length is read in constant memory, then tokens come one by one. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  GenerationError,
  Sampler,
  type SamplerOptions,
  StopScanner,
  TerminalText,
} from '@transformer-ls/runtime';
import { byteVocabulary, type Vocabulary } from '../data/vocabulary.js';
import type { CausalLanguageModel } from '../models/language-model/create.js';
import { type NextToken, nextToken } from './next-token.js';

/** Text (as UTF-8), bytes, or bytes in pieces, such as a file stream. */
export type Prompt = string | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

export interface GenerateOptions extends SamplerOptions {
  /** What the text continues; a newline where nothing is given. Not repeated in the output. */
  readonly prompt?: Prompt | undefined;
  /** Ends the text after this many tokens. Default: none. */
  readonly maxTokens?: number | undefined;
  /** Ends the text where one of these would come; it is not put out. */
  readonly stop?: readonly string[] | undefined;
  /** Between bytes and token ids; default: an id is a byte. */
  readonly vocabulary?: Vocabulary | undefined;
  /** Ends the text cleanly when aborted. */
  readonly signal?: AbortSignal | undefined;
}

/** Why a stream ended. */
export type Ending = 'length' | 'stop' | 'aborted';

/**
 * The bytes of a text while it is made, to be read once: `for await (const bytes of stream)`, or as text with
 * `for await (const piece of stream.text())`. Stopping to read frees what the stream holds.
 */
export class TextStream implements AsyncIterable<Uint8Array> {
  /** Tokens read of the prompt and tokens made so far, and the seconds these took. */
  promptTokens = 0;
  promptSeconds = 0;
  tokens = 0;
  seconds = 0;
  /** Bytes that the model remembers of all tokens so far. */
  memoryBytes = 0;
  ending: Ending | undefined;
  private readonly sampler: Sampler;
  private started = false;

  /** @throws GenerationError for a setting that is out of range */
  constructor(
    private readonly model: CausalLanguageModel,
    private readonly options: GenerateOptions = {},
  ) {
    this.sampler = new Sampler(options);
    const { maxTokens } = options;
    if (maxTokens !== undefined && !(Number.isSafeInteger(maxTokens) && maxTokens >= 0))
      throw new GenerationError(`maxTokens: expected a whole number of at least 0, received ${maxTokens}`);
  }

  /** Pieces of bytes, normally one token each. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    if (this.started) throw new GenerationError('a TextStream can be read once; call generate again');
    this.started = true;
    const next = nextToken(this.model);
    const scanner = new StopScanner(this.options.stop ?? []);
    const wasTraining = this.model.training;
    this.model.eval();
    try {
      await this.readPrompt(next);
      for await (const bytes of this.makeTokens(next)) {
        const passed = scanner.push(bytes);
        if (passed.stopped) this.ending = 'stop';
        if (passed.bytes.length > 0) yield passed.bytes;
        if (passed.stopped) return;
      }
      const held = scanner.end();
      if (held.length > 0) yield held;
    } finally {
      next.dispose();
      this.model.train(wasTraining);
    }
  }

  /** The same as valid UTF-8 text without control characters other than newline and tab (see `TerminalText`). */
  async *text(): AsyncGenerator<string, void> {
    const text = new TerminalText();
    for await (const bytes of this) {
      const piece = text.push(bytes);
      if (piece !== '') yield piece;
    }
    const rest = text.end();
    if (rest !== '') yield rest;
  }

  private async readPrompt(next: NextToken): Promise<void> {
    const { vocabulary = byteVocabulary, prompt = '' } = this.options;
    const begun = performance.now();
    for await (const piece of piecesOf(prompt)) {
      for (let start = 0; start < piece.length && !this.aborted(); start += READ_BYTES) {
        const ids = vocabulary.encode(piece.subarray(start, start + READ_BYTES));
        next.feed(ids);
        this.promptTokens += ids.length;
        await nextTurn();
      }
    }
    if (this.promptTokens === 0) next.feed(vocabulary.encode(NEWLINE));
    this.promptSeconds = (performance.now() - begun) / 1000;
    this.memoryBytes = next.memoryBytes();
  }

  private async *makeTokens(next: NextToken): AsyncGenerator<Uint8Array, void> {
    const { vocabulary = byteVocabulary, maxTokens = Number.POSITIVE_INFINITY } = this.options;
    while (this.tokens < maxTokens) {
      if (this.aborted()) return;
      const begun = performance.now();
      // The last token is fed only when another one is asked for.
      const id = this.sampler.sample(next.logits()!);
      const bytes = vocabulary.decode([id]);
      this.tokens += 1;
      if (this.tokens < maxTokens) next.feed(Int32Array.of(id));
      this.seconds += (performance.now() - begun) / 1000;
      this.memoryBytes = next.memoryBytes();
      yield bytes;
      // Signals and other work of the program get their turn.
      await nextTurn();
    }
    this.ending = 'length';
  }

  private aborted(): boolean {
    if (this.options.signal?.aborted !== true) return false;
    this.ending = 'aborted';
    return true;
  }
}

/** Continues a prompt with a model; nothing happens until the stream is read. */
export function generate(model: CausalLanguageModel, options: GenerateOptions = {}): TextStream {
  return new TextStream(model, options);
}

const READ_BYTES = 4096;
const NEWLINE = Uint8Array.of(10);

function piecesOf(prompt: Prompt): Iterable<Uint8Array> | AsyncIterable<Uint8Array> {
  if (typeof prompt === 'string') return [new TextEncoder().encode(prompt)];
  return prompt instanceof Uint8Array ? [prompt] : prompt;
}
