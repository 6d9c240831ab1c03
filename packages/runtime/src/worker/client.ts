/** Models in a worker, so that a page never freezes while they compute. */
import type { ExportedModel } from '@transformer-ls/formats';
import type { Device } from '../engine.js';
import { RuntimeError } from '../errors.js';
import type { ImageClassification, Picture } from '../image-classifier.js';
import type { GenerateOptions } from '../language-model/text-stream.js';
import type { LoadOptions } from '../load.js';
import { GenerationError } from '../text/sampler.js';
import type { TextClassification, TextDocument } from '../text-classifier.js';
import type {
  Answer,
  Answers,
  NextPiece,
  Request,
  SentError,
  StreamCounts,
  TokenAttention,
} from './messages.js';

/** What of `Worker` is used; tests put something else in its place. */
export interface WorkerLike {
  postMessage(message: unknown): void;
  terminate(): void;
  onmessage: ((event: MessageEvent) => void) | null;
  /** `never`, because `ErrorEvent` has no type in Node; a listener takes what it has a use for. */
  onerror: ((event: never) => void) | null;
}

export type WorkerGenerateOptions = Omit<GenerateOptions, 'onAttention'> & {
  /** Told of each token where it looked. */
  readonly onAttention?: ((attention: TokenAttention) => void) | undefined;
};

/**
 * Loads a model in a worker of its own.
 *
 * @throws RuntimeError in one line
 */
export async function loadInWorker(place: string | URL, options: LoadOptions = {}): Promise<WorkerModel> {
  const worker = new Worker(new URL('./entry.js', import.meta.url), { type: 'module' });
  return connectWorker(worker, place, options);
}

/** The same with a worker that there is already. */
export async function connectWorker(
  worker: WorkerLike,
  place: string | URL,
  { signal, onProgress, onNote, ...options }: LoadOptions = {},
): Promise<WorkerModel> {
  const connection = new Connection(worker);
  const end = () => connection.close(new RuntimeError('disposed', 'loading was aborted'));
  signal?.addEventListener('abort', end, { once: true });
  try {
    signal?.throwIfAborted();
    const { manifest, device } = await connection.ask(
      { do: 'load', place: absolute(place), options },
      { onProgress, onNote },
    );
    return new WorkerModel(connection, manifest, device);
  } catch (error) {
    end();
    throw signal?.aborted ? signal.reason : error;
  } finally {
    signal?.removeEventListener('abort', end);
  }
}

/** A worker's own address is another one than the page's. */
function absolute(place: string | URL): string {
  try {
    return new URL(String(place), globalThis.location?.href).href;
  } catch (error) {
    throw new RuntimeError('bad-input', `${place}: expected the URL of a folder`, { cause: error });
  }
}

/** A model of whatever kind: `kind` tells which of its methods answer. */
export class WorkerModel {
  constructor(
    private readonly connection: Connection,
    readonly manifest: ExportedModel,
    /** What computes. */
    readonly device: Device,
  ) {}

  get kind(): ExportedModel['kind'] {
    return this.manifest.kind;
  }

  generate(prompt: TextDocument = '', options: WorkerGenerateOptions = {}): WorkerTextStream {
    return new WorkerTextStream(this.connection, prompt, options);
  }

  classifyText(documents: TextDocument | readonly TextDocument[]): Promise<TextClassification> {
    return this.connection.ask({ do: 'classify-text', documents: listOf(documents) });
  }

  embedText(documents: TextDocument | readonly TextDocument[]): Promise<Float32Array> {
    return this.connection.ask({ do: 'embed-text', documents: listOf(documents) });
  }

  classifyImage(picture: Picture): Promise<ImageClassification> {
    return this.connection.ask({ do: 'classify-image', picture });
  }

  embedImage(picture: Picture): Promise<Float32Array> {
    return this.connection.ask({ do: 'embed-image', picture });
  }

  /** Ends the worker, and with it all that it holds. */
  async dispose(): Promise<void> {
    await this.connection.ask({ do: 'dispose' }).catch(() => undefined);
    this.connection.close(new RuntimeError('disposed', 'this model was disposed'));
  }
}

/** Text to be read once; counts are up to date while it is read. */
export class WorkerTextStream implements AsyncIterable<string> {
  counts: StreamCounts = {
    promptTokens: 0,
    promptSeconds: 0,
    tokens: 0,
    seconds: 0,
    memoryBytes: 0,
    ending: undefined,
  };

  private started = false;

  constructor(
    private readonly connection: Connection,
    private readonly prompt: TextDocument,
    private readonly options: WorkerGenerateOptions,
  ) {}

  async *[Symbol.asyncIterator](): AsyncGenerator<string, void> {
    if (this.started) throw new RuntimeError('bad-input', 'a stream can be read once; call generate again');
    this.started = true;
    const { signal, onAttention, ...options } = this.options;
    const stream = this.connection.nextId();
    const attention = onAttention !== undefined;
    const { prompt } = this;
    let stopped = false;
    const stop = () => {
      if (!stopped) this.connection.ask({ do: 'end', stream }).catch(() => undefined);
      stopped = true;
    };
    await this.connection.ask({ do: 'generate', prompt, options: { ...options, attention } }, {}, stream);
    signal?.addEventListener('abort', stop, { once: true });
    try {
      while (signal?.aborted !== true) {
        const piece = await this.next(stream, signal);
        if (piece === null) return;
        this.counts = piece.counts;
        if (piece.attention !== null) onAttention?.(piece.attention);
        if (piece.text === undefined) return;
        yield piece.text;
      }
    } finally {
      signal?.removeEventListener('abort', stop);
      if (this.counts.ending === undefined) stop();
      if (signal?.aborted) this.counts = { ...this.counts, ending: 'aborted' };
    }
  }

  /** null: it was ended meanwhile. */
  private async next(stream: number, signal: AbortSignal | undefined): Promise<NextPiece | null> {
    try {
      return await this.connection.ask({ do: 'next', stream });
    } catch (error) {
      if (signal?.aborted) return null;
      throw error;
    }
  }
}

interface Told {
  readonly onProgress?: LoadOptions['onProgress'] | undefined;
  readonly onNote?: LoadOptions['onNote'] | undefined;
}

interface Waiting extends Told {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

/** Questions and answers by number. */
class Connection {
  private readonly waiting = new Map<number, Waiting>();
  private count = 0;
  private closed: Error | undefined;

  constructor(private readonly worker: WorkerLike) {
    worker.onmessage = ({ data }) => this.receive(data as Answer);
    worker.onerror = ({ message }: { readonly message?: string }) =>
      this.close(new RuntimeError('failed', `the worker ended: ${message ?? 'it could not be started'}`));
  }

  nextId(): number {
    return ++this.count;
  }

  ask<R extends Request>(request: R, told: Told = {}, id = this.nextId()): Promise<Answers[R['do']]> {
    if (this.closed !== undefined) return Promise.reject(this.closed);
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { ...told, resolve, reject });
      try {
        this.worker.postMessage({ id, request });
      } catch (error) {
        this.waiting.delete(id);
        const reason = error instanceof Error ? error.message : String(error);
        reject(new RuntimeError('bad-input', `this cannot be sent to a worker: ${reason}`, { cause: error }));
      }
    });
  }

  /** Ends the worker; whoever waits is told why. */
  close(reason: Error): void {
    if (this.closed !== undefined) return;
    this.closed = reason;
    this.worker.terminate();
    for (const { reject } of this.waiting.values()) reject(reason);
    this.waiting.clear();
  }

  private receive(answer: Answer): void {
    const waiting = this.waiting.get(answer.id);
    if (waiting === undefined) return;
    if ('progress' in answer) waiting.onProgress?.(answer.progress);
    else if ('note' in answer) waiting.onNote?.(answer.note);
    else {
      this.waiting.delete(answer.id);
      if ('error' in answer) waiting.reject(errorOf(answer.error));
      else waiting.resolve(answer.value as never);
    }
  }
}

function listOf(documents: TextDocument | readonly TextDocument[]): readonly TextDocument[] {
  return typeof documents === 'string' || documents instanceof Uint8Array ? [documents] : documents;
}

function errorOf({ name, code, message }: SentError): Error {
  if (code !== undefined) return new RuntimeError(code, message);
  return name === 'GenerationError' ? new GenerationError(message) : new Error(message);
}
