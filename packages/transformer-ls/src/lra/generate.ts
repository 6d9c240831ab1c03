/** Drawing many examples on several threads, in order: the same whatever the number of threads. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { type Block, drawBlock, type GeneratedExample } from './generators.js';

/** Examples that one thread draws at a time. */
const BLOCK = 64;
/** For fewer, starting threads takes longer than drawing. */
const FEWEST_FOR_THREADS = 2048;

/** Examples of a row, in its order. @param threads at most so many are used */
export async function* drawExamples(row: Block, threads: number): AsyncGenerator<GeneratedExample> {
  const blocks = Array.from({ length: Math.ceil(row.count / BLOCK) }, (_, i): Block => {
    const done = i * BLOCK;
    return { ...row, first: row.first + done, count: Math.min(BLOCK, row.count - done) };
  });
  if (threads === 1 || row.count < FEWEST_FOR_THREADS) {
    for (const block of blocks) yield* drawBlock(block);
    return;
  }
  const workers = Array.from({ length: threads }, () => new DrawingThread());
  try {
    // Block i is drawn by thread i modulo their number, which has the next one already while it is being taken away.
    const ask = (i: number) => {
      const block = blocks[i];
      if (block !== undefined) workers[i % threads]!.ask(block);
    };
    for (let i = 0; i < AHEAD * threads; i++) ask(i);
    for (const i of blocks.keys()) {
      const examples = await workers[i % threads]!.answer();
      ask(i + AHEAD * threads);
      yield* examples;
    }
  } finally {
    await Promise.all(workers.map((worker) => worker.end()));
  }
}

/** Blocks that a thread has to do at any time. */
const AHEAD = 2;

/** Answers in the order of its questions. */
class DrawingThread {
  readonly #worker = new Worker(new URL('./generator-worker.js', import.meta.url));
  readonly #ready: GeneratedExample[][] = [];
  #failure: unknown;

  constructor() {
    this.#worker.on('message', (examples: GeneratedExample[]) => this.#ready.push(examples));
    this.#worker.on('error', (error) => {
      this.#failure = error;
    });
  }

  ask(block: Block): void {
    this.#worker.postMessage(block);
  }

  /** @throws what the thread threw */
  async answer(): Promise<GeneratedExample[]> {
    while (this.#ready.length === 0) {
      if (this.#failure !== undefined) throw this.#failure;
      await once(this.#worker, 'message');
    }
    return this.#ready.shift()!;
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}
