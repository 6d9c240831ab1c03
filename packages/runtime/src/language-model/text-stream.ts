/** Text while it is made: a prompt of any length is read in constant memory, then tokens come one by one. */
import type { Vocabulary } from '@transformer-ls/formats';
import { RuntimeError } from '../errors.js';
import type { Values } from '../graph.js';
import { GenerationError, Sampler, type SamplerOptions } from '../text/sampler.js';
import { StopScanner } from '../text/stop.js';
import { TerminalText } from '../text/terminal-text.js';
import type { StreamState } from './stream-state.js';

/** Text (as UTF-8), bytes, or bytes in pieces, such as a file stream. */
export type Prompt = string | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

export interface GenerateOptions extends SamplerOptions {
  /** Ends the text after this many tokens. Default: none. */
  readonly maxTokens?: number | undefined;
  /** Ends the text where one of these would come; it is not put out. */
  readonly stop?: readonly string[] | undefined;
  /** Ends the text cleanly when aborted. */
  readonly signal?: AbortSignal | undefined;
  /** Told of each token what it looked at, where the model was exported with that. */
  readonly onAttention?: ((attention: Values) => void) | undefined;
}

/** Why a stream ended. */
export type Ending = 'length' | 'stop' | 'aborted';

/** What a stream stands on: a state, and turns at the engine. */
export interface StreamSource {
  readonly vocabulary: Vocabulary;
  newState(): StreamState;
  /** Names of results that say what was looked at. */
  readonly attentionNames: readonly string[];
  takeTurn<T>(work: () => Promise<T>): Promise<T>;
}

/** Text to be read once: `for await (const piece of stream)`. Counts are up to date while it is read. */
export class TextStream implements AsyncIterable<string> {
  /** Tokens read of the prompt and tokens made so far, and the seconds these took. */
  promptTokens = 0;
  promptSeconds = 0;
  tokens = 0;
  seconds = 0;
  /** Bytes that the model remembers of all tokens so far. */
  memoryBytes = 0;
  ending: Ending | undefined;
  private readonly sampler: Sampler;
  private readonly state: StreamState;
  private started = false;

  /** @throws GenerationError for a setting that is out of range */
  constructor(
    private readonly source: StreamSource,
    private readonly prompt: Prompt,
    private readonly options: GenerateOptions,
  ) {
    this.sampler = new Sampler(options);
    const { maxTokens } = options;
    if (maxTokens !== undefined && !(Number.isSafeInteger(maxTokens) && maxTokens >= 0))
      throw new GenerationError(`maxTokens: expected a whole number of at least 0, received ${maxTokens}`);
    this.state = source.newState();
  }

  /** Pieces of valid UTF-8 text without control characters other than newline and tab. */
  async *[Symbol.asyncIterator](): AsyncGenerator<string, void> {
    const text = new TerminalText();
    for await (const bytes of this.bytes()) {
      const piece = text.push(bytes);
      if (piece !== '') yield piece;
    }
    const rest = text.end();
    if (rest !== '') yield rest;
  }

  /** The same as bytes, exactly as the model makes them, normally one token each. */
  async *bytes(): AsyncGenerator<Uint8Array, void> {
    if (this.started)
      throw new RuntimeError('bad-input', 'a TextStream can be read once; call generate again');
    this.started = true;
    const scanner = new StopScanner(this.options.stop ?? []);
    const logits = await this.readPrompt();
    for await (const bytes of this.makeTokens(logits)) {
      const passed = scanner.push(bytes);
      if (passed.stopped) this.ending = 'stop';
      if (passed.bytes.length > 0) yield passed.bytes;
      if (passed.stopped) return;
    }
    const held = scanner.end();
    if (held.length > 0) yield held;
  }

  /** The logits after the last token of the prompt. */
  private async readPrompt(): Promise<Float32Array> {
    const { vocabulary } = this.source;
    const begun = performance.now();
    let logits: Float32Array | undefined;
    for await (const piece of piecesOf(this.prompt)) {
      if (this.aborted()) break;
      if (!(piece instanceof Uint8Array))
        throw new RuntimeError('bad-input', `prompt: expected bytes, received ${typeof piece}`);
      for (let start = 0; start < piece.length && !this.aborted(); start += READ_BYTES) {
        const ids = vocabulary.encode(piece.subarray(start, start + READ_BYTES));
        logits = await this.feed(ids);
        this.promptTokens += ids.length;
        this.promptSeconds = (performance.now() - begun) / 1000;
      }
    }
    logits ??= await this.feed(vocabulary.encode(NEWLINE));
    this.promptSeconds = (performance.now() - begun) / 1000;
    return logits;
  }

  private async *makeTokens(logits: Float32Array): AsyncGenerator<Uint8Array, void> {
    const { maxTokens = Number.POSITIVE_INFINITY } = this.options;
    let next = logits;
    while (this.tokens < maxTokens) {
      if (this.aborted()) return;
      const begun = performance.now();
      // The last token is fed only when another one is asked for.
      const id = this.sampler.sample(next);
      this.tokens += 1;
      if (this.tokens < maxTokens) next = await this.feed(Int32Array.of(id));
      this.seconds += (performance.now() - begun) / 1000;
      yield this.source.vocabulary.decode([id]);
    }
    this.ending = 'length';
  }

  private async feed(ids: Int32Array): Promise<Float32Array> {
    const { onAttention } = this.options;
    const wanted = onAttention === undefined ? [] : this.source.attentionNames;
    let logits: Float32Array | undefined;
    for (let at = 0; at < ids.length && !(logits !== undefined && this.aborted()); ) {
      const rest = ids.subarray(at);
      const last = rest.length === 1;
      const fed = await this.source.takeTurn(() => this.state.feed(rest, last ? wanted : []));
      if (last && onAttention !== undefined) onAttention(fed.others);
      logits = fed.logits;
      at += fed.count;
    }
    this.memoryBytes = this.state.bytes;
    return logits as Float32Array;
  }

  private aborted(): boolean {
    if (this.options.signal?.aborted !== true) return false;
    this.ending = 'aborted';
    return true;
  }
}

const READ_BYTES = 4096;
const NEWLINE = Uint8Array.of(10);

function piecesOf(prompt: Prompt): Iterable<Uint8Array> | AsyncIterable<Uint8Array> {
  if (typeof prompt === 'string') return [new TextEncoder().encode(prompt)];
  if (prompt instanceof Uint8Array) return [prompt];
  const several = Object(prompt);
  if (Symbol.iterator in several || Symbol.asyncIterator in several) return prompt;
  throw new RuntimeError(
    'bad-input',
    `prompt: expected text, bytes or pieces of bytes, received ${typeof prompt}`,
  );
}
