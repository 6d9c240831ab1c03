// Loaded into every process of a training by soak.full.test.ts (node --import): writes down twice a second what the process holds.
import { appendFileSync, readFileSync } from 'node:fs';
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

function anonymousBytes() {
  const status = readFileSync('/proc/self/status', 'utf8');
  return 1024 * Number(/^RssAnon:\s+(\d+) kB/m.exec(status)[1]);
}

setInterval(() => {
  collect();
  const { rss, heapTotal, heapUsed } = process.memoryUsage();
  // Without pages of files, which the system takes back when it likes, and without V8's heap, which keeps up to 48 MiB for young objects.
  const native = anonymousBytes() - heapTotal;
  // Before the first step it is still being loaded.
  const { liveTensors = 0, allocatedBytes = 0 } = process.uptime() > 10 ? (torch?.memoryStats() ?? {}) : {};
  appendFileSync(
    join(folder, `${role}.jsonl`),
    `${JSON.stringify({ rss, native, heapUsed, liveTensors, allocatedBytes })}\n`,
  );
}, 500).unref();
