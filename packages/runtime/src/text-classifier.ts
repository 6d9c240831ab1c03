/** A classifier of documents. */
import {
  type ExportedTextClassifier,
  ListOpsError,
  parseListOps,
  withoutBrackets,
} from '@transformer-ls/formats';
import type { Device, ReadyEngine, Tensor } from './engine.js';
import { RuntimeError } from './errors.js';
import { Graph } from './graph.js';
import type { ModelFiles } from './model-files.js';
import { type ClassShare, sharesOf } from './shares.js';
import { Turns } from './turns.js';

export interface TextClassification {
  /** The likeliest class. */
  readonly label: string;
  /** Of every class, the likeliest first. */
  readonly classes: readonly ClassShare[];
  /** Tokens of each document, and how many of them were read. */
  readonly tokens: readonly number[];
  readonly read: readonly number[];
  /** Of each document, how much was looked at each token that was read; as `manifest.heat` says, and empty where it says none. */
  readonly heat: readonly Float32Array[];
}

/** A text as UTF-8, or bytes. */
export type TextDocument = string | Uint8Array;

export interface RunOptions {
  readonly signal?: AbortSignal | undefined;
}

export class TextClassifier {
  readonly kind = 'text-classifier';
  private readonly turns = new Turns();

  private constructor(
    readonly manifest: ExportedTextClassifier,
    /** What computes. */
    readonly device: Device,
    private readonly graph: Graph,
  ) {}

  /** @internal */
  static async create(
    ready: ReadyEngine,
    files: ModelFiles,
    manifest: ExportedTextClassifier,
  ): Promise<TextClassifier> {
    return new TextClassifier(manifest, ready.device, await Graph.create(ready, files, manifest.graph));
  }

  /**
   * What is longer than the model reads is read from its beginning: `tokens` and `read` say so.
   *
   * @param documents one text or, for a model that compares two, both; a model of ListOps reads trees such as `[MAX 4 [MIN 7 2 ] ]`
   * @throws RuntimeError where there are not as many as the model takes, or one is nothing that it reads
   */
  async classify(
    documents: TextDocument | readonly TextDocument[],
    options: RunOptions = {},
  ): Promise<TextClassification> {
    const { tokens, read, results } = await this.run(documents, ['logits', ...this.heatNames()], options);
    const classes = sharesOf(numbersOf(results.logits), this.manifest.classes);
    const heat = this.heatNames().map((name, i) => numbersOf(results[name]).subarray(0, read[i]));
    return { label: classes[0]!.name, classes, tokens, read, heat };
  }

  /** What the classifier decides by: its pooled features, (D), or (4 D) of a pair. */
  async embed(
    documents: TextDocument | readonly TextDocument[],
    options: RunOptions = {},
  ): Promise<Float32Array> {
    const { results } = await this.run(documents, ['features'], options);
    return numbersOf(results.features);
  }

  async dispose(): Promise<void> {
    await this.turns.take(() => this.graph.release());
  }

  private async run(
    documents: TextDocument | readonly TextDocument[],
    wanted: readonly string[],
    { signal }: RunOptions,
  ) {
    const { manifest } = this;
    const all = Array.isArray(documents) ? documents : [documents];
    const expected = manifest.model.inputs === 'two' ? 2 : 1;
    if (all.length !== expected)
      throw new RuntimeError('bad-input', `expected ${expected} document(s), received ${all.length}`);
    const tokens = all.map((document, i) =>
      this.tokensOf(document, expected === 1 ? '' : `document ${i + 1}: `),
    );
    const longest = Math.min(manifest.longest, manifest.paddedTo ?? manifest.longest);
    const read = tokens.map((one) => one.subarray(0, longest));
    const feeds = Object.fromEntries(
      read.flatMap((one, i) => Object.entries(this.inputs(one, expected === 1 ? '' : `.${i}`))),
    );
    const results = await this.turns.take(async () => {
      signal?.throwIfAborted();
      return this.graph.run(feeds, wanted);
    });
    return {
      tokens: tokens.map(({ length }) => length),
      read: read.map(({ length }) => length),
      results,
    };
  }

  private heatNames(): readonly string[] {
    if (this.manifest.heat === 'none') return [];
    return this.manifest.model.inputs === 'two' ? ['heat.0', 'heat.1'] : ['heat'];
  }

  private tokensOf(document: TextDocument, name: string): Uint8Array {
    const { tokens: kind, model } = this.manifest;
    const tokens = kind === 'bytes' ? bytesOf(document) : treeOf(document, kind, name);
    if (tokens.length === 0)
      throw new RuntimeError('bad-input', `${name}expected at least one token, received none`);
    const strange = tokens.find((token) => token + FIRST_BYTE >= model.vocabularySize);
    if (strange !== undefined)
      throw new RuntimeError(
        'bad-input',
        `${name}expected bytes from 0 to ${model.vocabularySize - FIRST_BYTE - 1}, received ${strange}`,
      );
    return tokens;
  }

  private inputs(tokens: Uint8Array, suffix: string): Record<string, Tensor> {
    const length = this.manifest.paddedTo ?? tokens.length;
    const ids = new BigInt64Array(length);
    const mask = new Uint8Array(length);
    for (const [i, token] of tokens.entries()) {
      ids[i] = BigInt(token + FIRST_BYTE);
      mask[i] = 1;
    }
    return {
      [`ids${suffix}`]: this.graph.tensor('int64', ids, [1, length]),
      [`mask${suffix}`]: this.graph.tensor('bool', mask, [1, length]),
    };
  }
}

/** 0 is padding. */
const FIRST_BYTE = 1;

function bytesOf(document: TextDocument): Uint8Array {
  return typeof document === 'string' ? new TextEncoder().encode(document) : document;
}

function treeOf(document: TextDocument, kind: 'listops' | 'listops-brackets', name: string): Uint8Array {
  const text = typeof document === 'string' ? document : new TextDecoder().decode(document);
  if (text.trim() === '') return new Uint8Array();
  try {
    const { tokens } = parseListOps(text);
    return kind === 'listops' ? withoutBrackets(tokens) : tokens;
  } catch (error) {
    if (error instanceof ListOpsError)
      throw new RuntimeError('bad-input', `${name}${error.message}`, { cause: error });
    throw error;
  }
}

function numbersOf(tensor: Tensor | undefined): Float32Array {
  return (tensor as Tensor).data as Float32Array;
}
