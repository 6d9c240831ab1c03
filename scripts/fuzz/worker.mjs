// One target in a process of its own: runs inputs, keeps those that reach new code, reports those that break the promise.
//
//   node --import <register-typescript.mjs> worker.mjs <target> <seed> <folder for findings>
//
// Before each input runs it is written to `<findings>/<target>.running`, so that nothing is lost where the process ends: its size in
// four bytes, then the input, over whatever longer one stood there.
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TARGETS } from '../../fuzz/targets.mjs';
import { Coverage } from './coverage.mjs';
import { mutated, randomNumbers } from './mutate.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
const [, , name, seed, findings] = process.argv;
const { file, entry, words, longest = 4096 } = TARGETS[name];
const target = (await import(join(root, file)))[entry];
const corpus = join(root, 'fuzz/corpus', name);
const wordBytes = words.map((word) => Uint8Array.from(Buffer.from(word, 'latin1')));
const random = randomNumbers(Number(seed));
/** Looking at the coverage costs as much as some dozens of inputs. */
const BATCH = 32;
/** An input may take so much of the processor's time; on a busy machine any can wait for longer. What waits for ever the parent sees. */
const SLOWEST_MS = 2000;
/** The process may grow to so many bytes. */
const MOST_MEMORY = 1.5 * 2 ** 30;

const running = openSync(join(findings, `${name}.running`), 'w');
const kept = [];
const complaints = new Set();
let runs = 0;

async function run(data) {
  const size = Buffer.alloc(4);
  size.writeUInt32LE(data.length);
  writeSync(running, Buffer.concat([size, data]), 0, size.length + data.length, 0);
  runs += 1;
  const begun = process.cpuUsage();
  try {
    await target(data);
  } catch (error) {
    complain(data, error instanceof Error ? (error.stack ?? String(error)) : String(error));
  }
  const { user, system } = process.cpuUsage(begun);
  if (user + system > SLOWEST_MS * 1000) complain(data, `took more than ${SLOWEST_MS} ms`);
  if (runs % 64 === 0 && process.memoryUsage.rss() > MOST_MEMORY) complain(data, 'takes too much memory');
}

/** Once for each place it comes from. */
function complain(data, what) {
  const place = what
    .split('\n')
    .filter((line) => line.trim().startsWith('at ') || !what.includes('\n'))
    .slice(0, 3)
    .join();
  if (complaints.has(place)) return;
  complaints.add(place);
  const path = join(findings, `${name}-${hashOf(data)}`);
  writeFileSync(path, data);
  process.send({ finding: path, what });
}

const hashOf = (data) => createHash('sha256').update(data).digest('hex').slice(0, 12);

/** The smallest inputs that reach all that the folder reaches; the others are removed, but for what was once a finding. */
async function loadCorpus() {
  mkdirSync(corpus, { recursive: true });
  const inputs = readdirSync(corpus)
    .map((name) => ({ path: join(corpus, name), data: Uint8Array.from(readFileSync(join(corpus, name))) }))
    .sort((a, b) => a.data.length - b.data.length);
  for (const { path, data } of inputs) {
    await run(data);
    if (coverage.fresh({ learn: true }) > 0) kept.push(data);
    else if (!basename(path).startsWith('found-')) rmSync(path);
    process.send({ alive: runs });
  }
  if (kept.length === 0) kept.push(new Uint8Array());
}

async function keep(data) {
  await run(data);
  if (coverage.fresh({ learn: true }) === 0) return;
  kept.push(data);
  const path = join(corpus, hashOf(data));
  if (!existsSync(path)) writeFileSync(path, data);
}

/** Half of the time one of the newest inputs: what they reached has not been looked at for long. */
function parent() {
  const newest = Math.min(kept.length, 8);
  return random(2) === 0 ? kept[kept.length - 1 - random(newest)] : kept[random(kept.length)];
}

const coverage = new Coverage();
await loadCorpus();
coverage.fresh({ learn: true });
process.send({ started: kept.length });
for (;;) {
  const batch = Array.from({ length: BATCH }, () => mutated(parent(), parent(), wordBytes, random, longest));
  for (const data of batch) await run(data);
  if (coverage.fresh({ learn: false }) > 0) for (const data of batch) await keep(data);
  process.send({ alive: runs, kept: kept.length, covered: coverage.size });
  // Lets go of the thread, so that what was sent is sent.
  await new Promise((resolve) => setImmediate(resolve));
}
