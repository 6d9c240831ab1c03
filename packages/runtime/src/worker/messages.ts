/** What a page and its worker say to one another. Every request is answered once; what is told in between names the request. */
import type { ExportedModel } from '@transformer-ls/formats';
import type { Device } from '../engine.js';
import type { RuntimeErrorCode } from '../errors.js';
import type { ImageClassification, Picture } from '../image-classifier.js';
import type { Ending, GenerateOptions } from '../language-model/text-stream.js';
import type { LoadOptions } from '../load.js';
import type { LoadProgress } from '../model-files.js';
import type { TextClassification, TextDocument } from '../text-classifier.js';

/** Options without what cannot be sent. */
export type SentGenerateOptions = Omit<GenerateOptions, 'signal' | 'onAttention'> & {
  readonly attention: boolean;
};
export type SentLoadOptions = Omit<LoadOptions, 'signal' | 'onProgress' | 'onNote'>;

export type Request =
  | { readonly do: 'load'; readonly place: string; readonly options: SentLoadOptions }
  | { readonly do: 'generate'; readonly prompt: TextDocument; readonly options: SentGenerateOptions }
  /** The next piece of the stream that a `generate` with this number began. */
  | { readonly do: 'next'; readonly stream: number }
  | { readonly do: 'end'; readonly stream: number }
  | { readonly do: 'classify-text'; readonly documents: readonly TextDocument[] }
  | { readonly do: 'embed-text'; readonly documents: readonly TextDocument[] }
  | { readonly do: 'classify-image'; readonly picture: Picture }
  | { readonly do: 'embed-image'; readonly picture: Picture }
  | { readonly do: 'dispose' };

export interface SentRequest {
  readonly id: number;
  readonly request: Request;
}

/** Where the token that was just made looked: (layers, tokens of the window) and (layers, chunks), the newest last, mean over heads. */
export interface TokenAttention {
  readonly layers: number;
  readonly window: Float32Array;
  readonly chunks: Float32Array;
}

/** How far a stream is. */
export interface StreamCounts {
  readonly promptTokens: number;
  readonly promptSeconds: number;
  readonly tokens: number;
  readonly seconds: number;
  readonly memoryBytes: number;
  readonly ending: Ending | undefined;
}

export interface NextPiece {
  /** undefined: the stream has ended. */
  readonly text: string | undefined;
  readonly counts: StreamCounts;
  readonly attention: TokenAttention | null;
}

export interface Loaded {
  readonly manifest: ExportedModel;
  readonly device: Device;
}

/** What each request is answered with. */
export interface Answers {
  load: Loaded;
  generate: null;
  next: NextPiece;
  end: null;
  'classify-text': TextClassification;
  'embed-text': Float32Array;
  'classify-image': ImageClassification;
  'embed-image': Float32Array;
  dispose: null;
}

export interface SentError {
  readonly name: string;
  readonly code: RuntimeErrorCode | undefined;
  readonly message: string;
}

export type Answer =
  | { readonly id: number; readonly value: Answers[keyof Answers] }
  | { readonly id: number; readonly error: SentError }
  | { readonly id: number; readonly progress: LoadProgress }
  | { readonly id: number; readonly note: string };
