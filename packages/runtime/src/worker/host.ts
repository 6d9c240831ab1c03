/** The worker: holds one model, and does what it is asked for. */
import { RuntimeError } from '../errors.js';
import type { Values } from '../graph.js';
import type { TextStream } from '../language-model/text-stream.js';
import { loadModel, type Model } from '../load.js';
import type {
  Answer,
  Answers,
  NextPiece,
  Request,
  SentError,
  SentRequest,
  StreamCounts,
  TokenAttention,
} from './messages.js';

interface OpenStream {
  readonly stream: TextStream;
  readonly pieces: AsyncIterator<string>;
  readonly stop: AbortController;
  attention: TokenAttention | null;
}

export class WorkerHost {
  private model: Model | undefined;
  private readonly streams = new Map<number, OpenStream>();

  /** @param send to the page */
  constructor(private readonly send: (answer: Answer) => void) {}

  async receive({ id, request }: SentRequest): Promise<void> {
    try {
      this.send({ id, value: await this.answer(id, request) });
    } catch (error) {
      this.send({ id, error: sentError(error) });
    }
  }

  private async answer(id: number, request: Request): Promise<Answers[keyof Answers]> {
    switch (request.do) {
      case 'load':
        await this.model?.dispose();
        this.model = await loadModel(request.place, {
          ...request.options,
          onProgress: (progress) => this.send({ id, progress }),
          onNote: (note) => this.send({ id, note }),
        });
        return { manifest: this.model.manifest, device: this.model.device };
      case 'generate':
        return this.begin(id, request);
      case 'next':
        return this.next(request.stream);
      case 'end':
        return this.end(request.stream);
      case 'classify-text':
        return this.loaded('text-classifier').classify(request.documents);
      case 'embed-text':
        return this.loaded('text-classifier').embed(request.documents);
      case 'classify-image':
        return this.loaded('image-classifier').classify(request.picture);
      case 'embed-image':
        return this.loaded('image-classifier').embed(request.picture);
      case 'dispose':
        return this.dispose();
    }
  }

  private begin(id: number, { prompt, options }: Extract<Request, { do: 'generate' }>): null {
    const stop = new AbortController();
    const { attention, ...settings } = options;
    const open: { attention: TokenAttention | null } = { attention: null };
    const stream = this.loaded('language-model').generate(prompt, {
      ...settings,
      signal: stop.signal,
      ...(attention
        ? {
            onAttention: (values: Values) => {
              open.attention = attentionOf(values);
            },
          }
        : {}),
    });
    const pieces = stream[Symbol.asyncIterator]();
    this.streams.set(id, Object.assign(open, { stream, pieces, stop }));
    return null;
  }

  private async next(id: number): Promise<NextPiece> {
    const open = this.streams.get(id);
    if (open === undefined)
      throw this.model === undefined ? disposed() : new RuntimeError('bad-input', 'this stream has ended');
    const { done, value } = await open.pieces.next();
    if (done) this.streams.delete(id);
    return { text: done ? undefined : value, counts: countsOf(open.stream), attention: open.attention };
  }

  private async end(id: number): Promise<null> {
    const open = this.streams.get(id);
    open?.stop.abort();
    await open?.pieces.return?.();
    this.streams.delete(id);
    return null;
  }

  private async dispose(): Promise<null> {
    const { model } = this;
    this.model = undefined;
    for (const stream of this.streams.keys()) await this.end(stream);
    await model?.dispose();
    return null;
  }

  private loaded<K extends Model['kind']>(kind: K): Extract<Model, { readonly kind: K }> {
    const { model } = this;
    if (model === undefined) throw disposed();
    if (model.kind === kind) return model as Extract<Model, { readonly kind: K }>;
    throw new RuntimeError('wrong-kind', `this model is a ${model.kind}, expected a ${kind}`);
  }
}

function disposed(): RuntimeError {
  return new RuntimeError('disposed', 'this model was disposed');
}

function countsOf(stream: TextStream): StreamCounts {
  const { promptTokens, promptSeconds, tokens, seconds, memoryBytes, ending } = stream;
  return { promptTokens, promptSeconds, tokens, seconds, memoryBytes, ending };
}

function attentionOf(values: Values): TokenAttention | null {
  const window = values['attention.window'];
  if (window === undefined) return null;
  const chunks = values['attention.chunks'];
  return {
    layers: window.dims[0]!,
    window: window.data as Float32Array,
    chunks: (chunks?.data ?? new Float32Array()) as Float32Array,
  };
}

function sentError(error: unknown): SentError {
  if (error instanceof Error)
    return {
      name: error.name,
      code: error instanceof RuntimeError ? error.code : undefined,
      message: error.message,
    };
  return { name: 'Error', code: undefined, message: String(error) };
}
