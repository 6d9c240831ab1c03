/** The list of runs, and what the chosen ones measure while they train. */
import type { MetricsRecord, NewMetrics, RunList } from '@transformer-ls/formats';
import { useEffect, useState } from 'preact/hooks';
import { messageOf } from '../../parts/text.js';
import { listRuns, runEvents, runMetrics } from '../../server.js';

export type Records = ReadonlyMap<string, readonly MetricsRecord[]>;

export interface LiveRuns {
  readonly list: RunList | undefined;
  readonly records: Records;
  readonly problem: string | undefined;
}

/** After how long a page asks again for events that the server has refused it, since too many pages have them. */
const ASK_AGAIN_MS = 5000;

/** @param chosen ids of runs whose records are wanted */
export function useRuns(chosen: readonly string[]): LiveRuns {
  const [list, setList] = useState<RunList>();
  const [records, setRecords] = useState<Records>(new Map());
  const [problem, setProblem] = useState<string>();
  const [refusals, setRefusals] = useState(0);
  const take = (next: RunList) => setList((before) => inPlace(next, before));
  const fail = (error: unknown) => setProblem(messageOf(error));
  useEffect(() => {
    listRuns().then(take, fail);
  }, []);
  const key = chosen.join('\n');
  useEffect(() => {
    const stop = new AbortController();
    const change = (id: string, next: (before: readonly MetricsRecord[]) => readonly MetricsRecord[]) =>
      setRecords((all) => new Map(all).set(id, next(all.get(id) ?? [])));
    Promise.all(chosen.map(runMetrics)).then((found) => {
      if (stop.signal.aborted) return;
      for (const { id, records: all } of found) change(id, () => all);
      const events = runEvents(found);
      stop.signal.addEventListener('abort', () => events.close());
      events.addEventListener('metrics', ({ data }) => {
        const { id, records: more, anew } = JSON.parse(data) as NewMetrics;
        change(id, (before) => (anew ? more : inOrder([...before, ...more])));
      });
      events.addEventListener('error', () => {
        // A stream that broke comes back by itself; one that was refused does not.
        if (events.readyState !== EventSource.CLOSED) return;
        const timer = setTimeout(() => setRefusals((count) => count + 1), ASK_AGAIN_MS);
        stop.signal.addEventListener('abort', () => clearTimeout(timer));
      });
      events.addEventListener('runs', ({ data }) => take(JSON.parse(data) as RunList));
    }, fail);
    return () => stop.abort();
  }, [key, refusals]);
  return { list, records, problem };
}

/** Whoever wrote last comes first at the beginning; from then on runs stay where they are, and new ones come on top. */
function inPlace(next: RunList, before: RunList | undefined): RunList {
  if (before === undefined) return next;
  const places = new Map(before.runs.map(({ id }, i) => [id, i]));
  const placeOf = ({ id }: { readonly id: string }) => places.get(id) ?? -1;
  return { ...next, runs: [...next.runs].sort((a, b) => placeOf(a) - placeOf(b)) };
}

/** A resumed run writes some steps anew: the later record counts. */
function inOrder(records: readonly MetricsRecord[]): MetricsRecord[] {
  const last = new Map<string, MetricsRecord>();
  for (const record of records)
    last.set(`${record.type} ${record.step} ${record.type === 'event' ? record.event : ''}`, record);
  return [...last.values()].sort((a, b) => a.step - b.step);
}
