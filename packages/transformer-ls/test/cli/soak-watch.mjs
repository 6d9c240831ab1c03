// Loaded into every process of a training by soak.full.test.ts (node --import): writes down twice a second what the process holds.
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const { TLS_SOAK_FOLDER: folder } = process.env;
const isWorker = process.argv[1]?.endsWith('/worker-train.js') ?? false;
const role = isWorker ? `rank-${process.env.RANK ?? 0}` : `command-${process.pid}`;
/** The library in the program's own place, loaded already: loading it twice would count the other one's tensors. */
const torch = isWorker
  ? await import(
      new URL('../../../node_modules/@transformer-ls/torch/src/index.js', `file://${process.argv[1]}`)
    )
  : null;

/** What is still held, not what the collector has not come to yet. */
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc');

setInterval(() => {
  collect();
  const { rss, heapUsed } = process.memoryUsage();
  // Before the first step it is still being loaded.
  const { liveTensors = 0, allocatedBytes = 0 } = process.uptime() > 10 ? (torch?.memoryStats() ?? {}) : {};
  appendFileSync(
    join(folder, `${role}.jsonl`),
    `${JSON.stringify({ rss, heapUsed, liveTensors, allocatedBytes })}\n`,
  );
}, 500).unref();
