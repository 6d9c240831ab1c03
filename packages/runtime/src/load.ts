/** Loading exported models. */
import type { ExportedModel } from '@transformer-ls/formats';
import { platform } from '#platform';
import type { EngineSettings, ReadyEngine } from './engine.js';
import { RuntimeError } from './errors.js';
import { ImageClassifier } from './image-classifier.js';
import { LanguageModel } from './language-model/language-model.js';
import { type LoadProgress, type ModelFiles, readModel } from './model-files.js';
import { TextClassifier } from './text-classifier.js';

export interface LoadOptions extends EngineSettings {
  readonly onProgress?: (progress: LoadProgress) => void;
  /** Ends loading, with the signal's reason as the error. */
  readonly signal?: AbortSignal;
  /** Told why the model runs slower here than it could. */
  readonly onNote?: (note: string) => void;
}

export type Model = LanguageModel | TextClassifier | ImageClassifier;

/**
 * Loads a model of whatever kind: `model.kind` tells.
 *
 * @param place a folder (in Node), or the URL of one
 * @throws RuntimeError in one line
 */
export async function loadModel(place: string | URL, options: LoadOptions = {}): Promise<Model> {
  return load(place, options, () => undefined);
}

/** @throws RuntimeError in one line, `wrong-kind` where it is another model */
export async function loadLanguageModel(
  place: string | URL,
  options: LoadOptions = {},
): Promise<LanguageModel> {
  return (await load(place, options, expectKind('language-model'))) as LanguageModel;
}

/** @throws RuntimeError in one line, `wrong-kind` where it is another model */
export async function loadTextClassifier(
  place: string | URL,
  options: LoadOptions = {},
): Promise<TextClassifier> {
  return (await load(place, options, expectKind('text-classifier'))) as TextClassifier;
}

/** @throws RuntimeError in one line, `wrong-kind` where it is another model */
export async function loadImageClassifier(
  place: string | URL,
  options: LoadOptions = {},
): Promise<ImageClassifier> {
  return (await load(place, options, expectKind('image-classifier'))) as ImageClassifier;
}

async function load(
  place: string | URL,
  { onProgress, signal, onNote, ...settings }: LoadOptions,
  check: (manifest: ExportedModel, place: string) => void,
): Promise<Model> {
  checkThreads(settings);
  signal?.throwIfAborted();
  const files = await filesOf(place, { onProgress, signal }, check);
  signal?.throwIfAborted();
  const ready = await platform.startEngine(settings);
  for (const note of ready.notes) onNote?.(note);
  const model = await modelOf(ready, files);
  if (!signal?.aborted) return model;
  await model.dispose();
  throw signal.reason;
}

function checkThreads({ threads }: EngineSettings): void {
  if (threads !== undefined && !(Number.isSafeInteger(threads) && threads >= 1))
    throw new RuntimeError(
      'bad-input',
      `threads: expected a whole number of at least 1, received ${threads}`,
    );
}

/** Where one file is not as it must be, the others are read no further. */
async function filesOf(
  place: string | URL,
  {
    onProgress,
    signal,
  }: {
    readonly onProgress: LoadOptions['onProgress'] | undefined;
    readonly signal: AbortSignal | undefined;
  },
  check: (manifest: ExportedModel, place: string) => void,
): Promise<ModelFiles> {
  const stop = new AbortController();
  const reader = platform.filesAt(
    place,
    signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]),
  );
  const told = (progress: LoadProgress) => {
    if (!stop.signal.aborted) onProgress?.(progress);
  };
  try {
    return await readModel(reader, told, (manifest) => check(manifest, reader.place));
  } catch (error) {
    stop.abort();
    throw error;
  }
}

function modelOf(ready: ReadyEngine, files: ModelFiles): Promise<Model> {
  const { manifest } = files;
  switch (manifest.kind) {
    case 'language-model':
      return LanguageModel.create(ready, files, manifest);
    case 'text-classifier':
      return TextClassifier.create(ready, files, manifest);
    case 'image-classifier':
      return ImageClassifier.create(ready, files, manifest);
  }
}

function expectKind(kind: ExportedModel['kind']) {
  return (manifest: ExportedModel, place: string) => {
    if (manifest.kind !== kind)
      throw new RuntimeError('wrong-kind', `${place}: is a ${manifest.kind}, expected a ${kind}`);
  };
}
