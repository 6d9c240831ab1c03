/** A language model that streams text. */
import {
  byteVocabulary,
  type ExportedLanguageModel,
  type ExportedVocabulary,
  FairseqDictionary,
  type Vocabulary,
  VocabularyError,
} from '@transformer-ls/formats';
import type { Device, ReadyEngine } from '../engine.js';
import { RuntimeError } from '../errors.js';
import { Graph } from '../graph.js';
import type { ModelFiles } from '../model-files.js';
import { Turns } from '../turns.js';
import { type LanguageModelGraphs, LOGITS, NEXT, StreamState } from './stream-state.js';
import { type GenerateOptions, type Prompt, type StreamSource, TextStream } from './text-stream.js';

export class LanguageModel {
  readonly kind = 'language-model';
  private readonly turns = new Turns();
  private readonly source: StreamSource;

  private constructor(
    readonly manifest: ExportedLanguageModel,
    /** What computes. */
    readonly device: Device,
    private readonly graphs: LanguageModelGraphs,
    vocabulary: Vocabulary,
  ) {
    const names = graphs.step?.resultNames ?? [];
    this.source = {
      vocabulary,
      newState: () => new StreamState(graphs, manifest),
      attentionNames: names.filter((name) => name !== LOGITS && !name.startsWith(NEXT)),
      takeTurn: (work) => this.turns.take(work),
    };
  }

  /** @internal */
  static async create(
    ready: ReadyEngine,
    files: ModelFiles,
    manifest: ExportedLanguageModel,
  ): Promise<LanguageModel> {
    const vocabulary = vocabularyOf(manifest);
    const step = manifest.step === null ? null : await Graph.create(ready, files, manifest.step);
    const graphs = { step, block: await Graph.create(ready, files, manifest.block) };
    return new LanguageModel(manifest, ready.device, graphs, vocabulary);
  }

  /**
   * Continues a prompt; nothing happens until the stream is read. Streams of one model can be read side by side, and take turns.
   *
   * @param prompt text, bytes, or bytes in pieces, of any length; a newline where it is empty
   * @throws GenerationError for a setting that is out of range
   */
  generate(prompt: Prompt = '', options: GenerateOptions = {}): TextStream {
    return new TextStream(this.source, prompt, options);
  }

  /** Frees what the engine holds, when what is being computed is done. */
  async dispose(): Promise<void> {
    await this.turns.take(async () => {
      await this.graphs.step?.release();
      await this.graphs.block.release();
    });
  }
}

/** @throws RuntimeError where it is none, or not the model's */
function vocabularyOf({ vocabulary, model }: ExportedLanguageModel): Vocabulary {
  const found = vocabulary.kind === 'bytes' ? byteVocabulary : dictionaryOf(vocabulary);
  if (found.vocabularySize !== model.vocabularySize)
    throw new RuntimeError(
      'damaged',
      `expected a vocabulary of ${model.vocabularySize} ids, the manifest has one of ${found.vocabularySize}`,
    );
  return found;
}

function dictionaryOf({ style, symbols }: Extract<ExportedVocabulary, { kind: 'fairseq' }>): Vocabulary {
  try {
    const lines = symbols.map((symbol) => `${symbol} 0\n`);
    return FairseqDictionary.parse(lines.join(''), style, 'the vocabulary of the manifest');
  } catch (error) {
    if (error instanceof VocabularyError) throw new RuntimeError('damaged', error.message, { cause: error });
    throw error;
  }
}
