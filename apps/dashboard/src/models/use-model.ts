/** One loaded model of a kind: chosen, loaded in a worker, and let go when the part of the page is left. */
import type { ExportedModel, ModelSummary } from '@transformer-ls/formats';
import { loadInWorker, type WorkerModel } from '@transformer-ls/runtime';
import { useEffect, useRef, useState } from 'preact/hooks';
import { messageOf } from '../parts/text.js';
import { listModels, modelPlace } from '../server.js';

export type ModelKind = ExportedModel['kind'];

export type ModelState =
  | { readonly at: 'nothing' }
  | { readonly at: 'loading'; readonly share: number }
  | {
      readonly at: 'ready';
      readonly model: WorkerModel;
      readonly notes: readonly string[];
      readonly seconds: number;
    }
  | { readonly at: 'failed'; readonly reason: string };

export interface UsedModel {
  /** undefined: not known yet. */
  readonly models: readonly ModelSummary[] | undefined;
  readonly listError: string | undefined;
  readonly chosen: ModelSummary | undefined;
  readonly state: ModelState;
  choose(id: string): void;
  /** Loads the chosen one, if it is not. */
  load(): Promise<WorkerModel | undefined>;
}

export function useModel(kind: ModelKind): UsedModel {
  const [models, setModels] = useState<readonly ModelSummary[]>();
  const [listError, setListError] = useState<string>();
  const [id, setId] = useState<string>();
  const [state, setState] = useState<ModelState>({ at: 'nothing' });
  const held = useRef<{ id: string; loading: Promise<WorkerModel>; stop: AbortController }>(undefined);

  const letGo = () => {
    const { current } = held;
    held.current = undefined;
    current?.stop.abort();
    void current?.loading.then((model) => model.dispose()).catch(() => undefined);
  };
  /** What is asked for before the models are known waits for them. */
  const listing = useRef<Promise<readonly ModelSummary[]>>(undefined);
  useEffect(() => {
    listing.current = listModels().then(({ models: all }) => all.filter((model) => model.kind === kind));
    listing.current.then(setModels, (error: unknown) => setListError(messageOf(error)));
    return letGo;
  }, [kind]);

  const chosenOf = (all: readonly ModelSummary[] | undefined) =>
    all?.find((model) => model.id === id) ?? all?.[0];
  const chosen = chosenOf(models);
  const load = async () => {
    const wanted = chosenOf(models ?? (await listing.current?.catch(() => undefined)));
    if (wanted === undefined) return undefined;
    if (held.current?.id !== wanted.id) {
      letGo();
      const stop = new AbortController();
      held.current = { id: wanted.id, loading: start(wanted.id, stop.signal, setState), stop };
    }
    return held.current.loading.catch(() => undefined);
  };
  const choose = (next: string) => {
    letGo();
    setState({ at: 'nothing' });
    setId(next);
  };
  return { models, listError, chosen, state, choose, load };
}

async function start(
  id: string,
  signal: AbortSignal,
  setState: (state: ModelState) => void,
): Promise<WorkerModel> {
  const notes: string[] = [];
  const begun = performance.now();
  setState({ at: 'loading', share: 0 });
  try {
    const model = await loadInWorker(modelPlace(id), {
      signal,
      onProgress: ({ loadedBytes, totalBytes }) =>
        setState({ at: 'loading', share: loadedBytes / totalBytes }),
      onNote: (note) => notes.push(note),
    });
    setState({ at: 'ready', model, notes, seconds: (performance.now() - begun) / 1000 });
    return model;
  } catch (error) {
    if (!signal.aborted) setState({ at: 'failed', reason: messageOf(error) });
    throw error;
  }
}
