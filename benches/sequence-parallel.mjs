/**
 * What it costs to spread one sequence over processes, and what memory it saves: a forward and a backward pass over a million tokens.
 *
 *   npm run bench -- sequence-parallel [--processes 2] [--length 1048576] [--cases bidirectional-64,causal-64,model] [--rounds 3]
 *     [--threads 1] [--out <results file>]
 *
 * One process and several take turns, round by round. Memory: the highest of a process beyond what it held before the pass, its part of the
 * input included. Losses and norms of gradients must agree. Needs no Python.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runProcesses } from './many-processes.workers.mjs';
import { machine, median, someOf, table, wholeNumber } from './side-by-side.workers.mjs';

const CASES = {
  'bidirectional-64': {
    what: 'bidirectional layer, D 64, W 8, R 32',
    job: { kind: 'bidirectional', unit: 8, modelDim: 64, heads: 2, windowSize: 8, projectionRank: 32 },
  },
  'causal-64': {
    what: 'causal layer, D 64, W 32, c 8, memory 1,024',
    job: {
      kind: 'causal',
      unit: 8,
      modelDim: 64,
      heads: 2,
      windowSize: 32,
      chunkSize: 8,
      projectionRank: 1,
      memoryLength: 1024,
    },
  },
  model: {
    what: 'language model debug (2 layers, D 64), blocks computed again',
    job: { kind: 'language model', unit: 8, name: 'debug' },
  },
};
/** How far results may be apart: float32, sums of a million terms in another order. */
const TOLERANCE = 1e-3;

function readSettings() {
  const { values } = parseArgs({
    options: {
      processes: { type: 'string', default: '2' },
      length: { type: 'string', default: String(2 ** 20) },
      cases: { type: 'string', default: Object.keys(CASES).join(',') },
      rounds: { type: 'string', default: '3' },
      threads: { type: 'string', default: '1' },
      out: { type: 'string' },
    },
  });
  const number = (name) => wholeNumber(`--${name}`, values[name]);
  return {
    processes: number('processes'),
    length: number('length'),
    cases: someOf('--cases', values.cases, Object.keys(CASES)),
    rounds: number('rounds'),
    threads: number('threads'),
    out: values.out,
  };
}

/** The slowest and the largest of the processes count. */
async function measure(row, { length, threads }, folder) {
  const job = { ...CASES[row.name].job, length, threads };
  const ranks = await runProcesses(
    './sequence-parallel.worker.mjs',
    { processes: row.processes },
    job,
    folder,
  );
  const most = (what) => Math.max(...ranks.map((rank) => rank[what]));
  row.forward.push(most('forward'));
  row.backward.push(most('backward'));
  row.peak.push(most('peak'));
  row.results.push(ranks[0]);
}

function refuseOthers(rows) {
  for (const row of rows) {
    const [one] = rows.find(({ name }) => name === row.name).results;
    for (const found of row.results)
      for (const what of ['loss', 'norm'])
        if (!(Math.abs(found[what] - one[what]) <= TOLERANCE * Math.abs(one[what])))
          throw new Error(
            `${row.name}, ${row.processes} processes: ${what} ${found[what]}, of one process ${one[what]}`,
          );
  }
}

function describe({ length, rounds, threads }, rows) {
  const lines = rows.map((row) => {
    const one = rows.find(({ name, processes }) => name === row.name && processes === 1);
    const time = (of) => median(of.forward) + median(of.backward);
    const seconds = (ms) => (ms / 1000).toFixed(2);
    return [
      `${CASES[row.name].what}: ${row.processes} process${row.processes === 1 ? '' : 'es'}`,
      seconds(median(row.forward)),
      seconds(median(row.backward)),
      (time(one) / time(row)).toFixed(2),
      (median(row.peak) / 2 ** 30).toFixed(2),
      (median(row.peak) / median(one.peak)).toFixed(2),
    ];
  });
  return [
    '# One sequence in several processes',
    '',
    `${machine()}; load average ${loadavg()[0].toFixed(1)}. ${length.toLocaleString('en')} tokens, batch 1, float32, ${threads} thread(s) a process; medians of ${rounds} rounds. Memory: the highest of a process beyond what it held before the pass.`,
    '',
    table(['what', 'forward s', 'backward s', 'beside one', 'GiB a process', 'of one'], lines),
    '',
  ].join('\n');
}

async function main() {
  const settings = readSettings();
  const folder = mkdtempSync(join(tmpdir(), 'tls-bench-'));
  const rows = settings.cases.flatMap((name) =>
    [1, settings.processes].map((processes) => ({
      name,
      processes,
      forward: [],
      backward: [],
      peak: [],
      results: [],
    })),
  );
  try {
    for (let round = 0; round < settings.rounds; round++) {
      for (const row of rows) await measure(row, settings, folder);
      console.error(`round ${round + 1} of ${settings.rounds} measured`);
      refuseOthers(rows);
      if (settings.out) writeFileSync(settings.out, describe(settings, rows));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  console.log(describe(settings, rows));
}

try {
  await main();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
