/**
 * What a second process is worth in data parallel training, and what the exchange costs: training steps of a language model with one process
 * and with several, the batch of all together the same.
 *
 *   npm run bench -- process-scaling [--processes 2] [--preset small] [--batch 8] [--segment 256] [--steps 12] [--rounds 3] [--threads 1]
 *     [--out <results file>]
 *
 * Variants take turns, round by round. `no exchange` is the same processes that tell each other nothing: the time of the computation alone.
 * Needs no Python.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runProcesses } from './many-processes.workers.mjs';
import { machine, median, table, wholeNumber } from './side-by-side.workers.mjs';

function readSettings() {
  const { values } = parseArgs({
    options: {
      processes: { type: 'string', default: '2' },
      preset: { type: 'string', default: 'small' },
      batch: { type: 'string', default: '8' },
      segment: { type: 'string', default: '256' },
      steps: { type: 'string', default: '12' },
      rounds: { type: 'string', default: '3' },
      threads: { type: 'string', default: '1' },
      out: { type: 'string' },
    },
  });
  const number = (name) => wholeNumber(`--${name}`, values[name]);
  return {
    processes: number('processes'),
    preset: values.preset,
    batchSize: number('batch'),
    segmentLength: number('segment'),
    steps: number('steps'),
    rounds: number('rounds'),
    threads: number('threads'),
    out: values.out,
  };
}

function variantsOf({ processes, threads }) {
  return [
    { name: 'one process', processes: 1, threads, exchange: 'alone' },
    { name: 'one process, all threads', processes: 1, threads: processes * threads, exchange: 'alone' },
    { name: `${processes} processes, no exchange`, processes, threads, exchange: 'none' },
    { name: `${processes} processes, sums after backward`, processes, threads, exchange: 'after' },
    { name: `${processes} processes, sums during backward`, processes, threads, exchange: 'overlap' },
  ];
}

/** Milliseconds of a step: that of the slowest process, which the others wait for; and of the processor, all processes together. */
async function measure({ times, cpu, ...variant }, settings, folder) {
  const { processes, threads, exchange } = variant;
  const job = { ...settings, threads, exchange };
  const ranks = await runProcesses('./process-scaling.worker.mjs', processes, job, folder);
  const steps = ranks[0].times.map((_, step) => Math.max(...ranks.map((rank) => rank.times[step])));
  times.push(median(steps));
  cpu.push(ranks.reduce((sum, rank) => sum + rank.cpu, 0));
}

function describe(settings, rows) {
  const { processes, preset, batchSize, segmentLength, steps, rounds, threads } = settings;
  const alone = median(rows[0].times);
  const lines = rows.map(({ name, processes: count, times, cpu }) => {
    const ms = median(times);
    const speed = Math.round((1000 * batchSize * segmentLength) / ms);
    return [
      name,
      ms.toFixed(1),
      median(cpu).toFixed(1),
      String(speed),
      (alone / ms).toFixed(2),
      `${Math.round((100 * alone) / (ms * count))} %`,
    ];
  });
  return [
    `# ${processes} processes beside one`,
    '',
    `${machine()}; load average ${loadavg()[0].toFixed(1)}. Language model ${preset}, ${batchSize} lanes of ${segmentLength} tokens for all processes together, ${threads} thread(s) each, float32, AdamW; medians of ${rounds} rounds of ${steps} steps.`,
    `Efficiency is the speed of one process times its part of ${processes}: 100 % would be ${processes} times as fast. CPU ms: of the processor, all processes together.`,
    '',
    table(['what', 'ms a step', 'CPU ms', 'tokens/s', 'beside one', 'efficiency'], lines),
    '',
  ].join('\n');
}

async function main() {
  const settings = readSettings();
  if (settings.batchSize % settings.processes !== 0)
    throw new Error(`--batch: expected a multiple of ${settings.processes}, received ${settings.batchSize}`);
  if (settings.processes > cpus().length) console.error('more processes than cores: they will take turns');
  const folder = mkdtempSync(join(tmpdir(), 'tls-bench-'));
  const rows = variantsOf(settings).map((variant) => ({ ...variant, times: [], cpu: [] }));
  try {
    for (let round = 0; round < settings.rounds; round++) {
      for (const row of rows) await measure(row, settings, folder);
      console.error(`round ${round + 1} of ${settings.rounds} measured`);
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
