/** A thread of the loader: makes its rows of every batch it is told of. */
import type { MessagePort } from 'node:worker_threads';
import { workerData } from 'node:worker_threads';
import { DataError } from '../../data/errors.js';
import { type ImageSource, openImageSet } from '../sources.js';
import { type BatchJob, BatchMaker, type BatchPlan } from './batch-maker.js';
import { BatchRing, type RingMemory } from './batch-ring.js';
import { type CacheMemory, DecodedCache } from './decoded-cache.js';
import { PictureReader } from './picture-reader.js';

/** What the thread is started with. */
export interface LoaderThreadData {
  readonly source: ImageSource;
  /** Of the set as the loader knows it. */
  readonly fingerprint: string;
  readonly plan: BatchPlan;
  readonly ring: RingMemory;
  readonly cache: CacheMemory | null;
  readonly part: number;
  readonly parts: number;
}

const data = workerData as LoaderThreadData & { readonly port: MessagePort };
const { source, fingerprint, plan, part, parts, port } = data;
const set = await openImageSet(source);
if (set.fingerprint !== fingerprint)
  throw new DataError(`${set.name}: the pictures have changed since the loader was opened`);
const cache = data.cache === null ? null : new DecodedCache(data.cache);
const maker = new BatchMaker({
  set,
  plan,
  ring: new BatchRing(data.ring),
  reader: new PictureReader(set, cache, (problem) => port.postMessage(problem)),
  part,
  parts,
  onFailure: (error) =>
    // Ends the thread, which the listening one hears.
    queueMicrotask(() => {
      throw error;
    }),
});
port.on('message', (job: BatchJob) => maker.accept(job));
