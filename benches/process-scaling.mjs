/**
 * What a second process is worth in data parallel training, and what the exchange costs: training steps of a language model with one process
 * and with several, the batch of all together the same.
 *
 *   npm run bench -- process-scaling [--processes 2] [--preset small] [--batch 8] [--segment 256] [--steps 12] [--rounds 3] [--threads 1]
 *     [--rates 1gbit,400mbit] [--out <results file>]
 *
 * Variants take turns, round by round. `no exchange` is the same processes that tell each other nothing: the time of the computation alone.
 * `--rates`: two processes also in networks of their own, with a cable of that rate between them; needs the right to make network namespaces.
 * Beside the steps with an exchange stands what the model of benches/scaling-model.mjs foretells of them. Needs no Python.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runProcesses } from './many-processes.workers.mjs';
import { cannotMakeNetworks, TwoNetworks } from './networks.parts.mjs';
import { ringSeconds, stepSeconds } from './scaling-model.formulas.mjs';
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
      rates: { type: 'string', default: '' },
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
    rates: values.rates.split(',').filter((rate) => rate !== ''),
    out: values.out,
  };
}

/** @param networks rate to a pair of networks with a cable of that rate */
function variantsOf({ processes, threads }, networks) {
  const alone = { exchange: 'alone', processes: 1 };
  const exchanging = (place, rate, cable) => [
    {
      name: `${processes} processes, ${place}, sums after backward`,
      exchange: 'after',
      rate,
      networks: cable,
    },
    {
      name: `${processes} processes, ${place}, sums during backward`,
      exchange: 'overlap',
      rate,
      networks: cable,
    },
  ];
  return [
    { name: 'one process', ...alone },
    { name: 'one process, all threads', ...alone, threads: processes * threads },
    { name: `${processes} processes, no exchange`, exchange: 'none' },
    ...exchanging('loopback', null, null),
    ...[...networks].flatMap(([rate, cable]) => exchanging(rate, rate, cable)),
  ].map((variant) => ({ processes, threads, networks: null, ...variant }));
}

/** Milliseconds of a step: that of the slowest process, which the others wait for; and of the processor, all processes together. */
async function measure(row, settings, folder) {
  const { processes, networks, threads, exchange } = row;
  const run = (program, job) => runProcesses(program, { processes, networks }, job, folder);
  if (exchange === 'after')
    row.probes.push((await run('./process-scaling.probe.mjs', { bucketBytes: BUCKET_BYTES }))[0]);
  const ranks = await run('./process-scaling.worker.mjs', { ...settings, threads, exchange });
  const steps = ranks[0].times.map((_, step) => Math.max(...ranks.map((rank) => rank.times[step])));
  row.times.push(median(steps));
  row.cpu.push(ranks.reduce((sum, rank) => sum + rank.cpu, 0));
  row.gradientBytes = ranks[0].gradientBytes;
}

/** Milliseconds that the model foretells of a row, from the computation alone and what the network does by itself. */
function foretold(row, rows) {
  const computing = rows.find(({ exchange }) => exchange === 'none');
  if (row.exchange !== 'after' && row.exchange !== 'overlap') return null;
  const { probes } = rows.find(({ exchange, rate }) => exchange === 'after' && rate === row.rate);
  const step = median(computing.times) / 1000;
  const backward = BACKWARD_SHARE * step;
  const work = { forward: step - backward, backward, update: 0 };
  const rounds = 2 * (row.processes - 1);
  const latency = median(probes.map(({ smallMs }) => smallMs)) / 1000 / rounds;
  const sum = median(probes.map(({ bucketMs }) => bucketMs)) / 1000 - rounds * latency;
  const bandwidth = (rounds * BUCKET_BYTES) / row.processes / sum;
  const allReduce = (processes, bytes) => ringSeconds(processes, bytes, { bandwidth, latency });
  const gradients = { bytes: row.gradientBytes, bucketBytes: BUCKET_BYTES };
  const options = { overlap: row.exchange === 'overlap' };
  const seconds = stepSeconds(row.processes, work, gradients, allReduce, options);
  return { ms: 1000 * seconds, bandwidth, latency };
}

/** Two products of three; the update of the weights is little beside them. */
const BACKWARD_SHARE = 2 / 3;
const BUCKET_BYTES = 4 * 2 ** 20;

function describe(settings, rows) {
  const { processes, preset, batchSize, segmentLength, steps, rounds, threads } = settings;
  const alone = median(rows[0].times);
  const lines = rows.map((row) => {
    const { name, processes: count, times, cpu } = row;
    const ms = median(times);
    const speed = Math.round((1000 * batchSize * segmentLength) / ms);
    const model = foretold(row, rows);
    return [
      name,
      ms.toFixed(1),
      median(cpu).toFixed(1),
      String(speed),
      (alone / ms).toFixed(2),
      `${Math.round((100 * alone) / (ms * count))} %`,
      model === null ? '' : `${model.ms.toFixed(1)} (${signed((100 * model.ms) / ms - 100)} %)`,
    ];
  });
  return [
    `# ${processes} processes beside one`,
    '',
    `${machine()}; load average ${loadavg()[0].toFixed(1)}. Language model ${preset}, ${batchSize} lanes of ${segmentLength} tokens for all processes together, ${threads} thread(s) each, float32, AdamW; medians of ${rounds} rounds of ${steps} steps.`,
    `Efficiency is the speed of one process times its part of ${processes}: 100 % would be ${processes} times as fast. CPU ms: of the processor, all processes together.`,
    'Model: what the formulae of scaling-model foretell, from the row without an exchange and from sums measured with nothing else to do:',
    '',
    ...rows.filter(({ exchange }) => exchange === 'after').map((row) => networkLine(row, rows)),
    '',
    table(['what', 'ms a step', 'CPU ms', 'tokens/s', 'beside one', 'efficiency', 'model'], lines),
    '',
  ].join('\n');
}

function networkLine(row, rows) {
  const { bandwidth, latency } = foretold(row, rows);
  const bits = (8 * bandwidth) / 1e6;
  return `- ${row.rate ?? 'loopback'}: ${bits.toFixed(0)} Mbit/s in each direction, ${(1e6 * latency).toFixed(0)} microseconds a message; ${(row.gradientBytes / 2 ** 20).toFixed(1)} MiB of gradients`;
}

const signed = (number) => `${number < 0 ? '' : '+'}${number.toFixed(0)}`;

/** Rate → two networks with a cable of that rate. */
function makeNetworks({ rates, processes }) {
  if (rates.length === 0) return new Map();
  if (processes !== 2) throw new Error(`--rates: expected --processes 2, received ${processes}`);
  const cannot = cannotMakeNetworks();
  if (cannot !== '') throw new Error(`--rates: ${cannot}`);
  return new Map(
    rates.map((rate) => {
      const networks = new TwoNetworks();
      networks.slow(rate);
      return [rate, networks];
    }),
  );
}

async function main() {
  const settings = readSettings();
  if (settings.batchSize % settings.processes !== 0)
    throw new Error(`--batch: expected a multiple of ${settings.processes}, received ${settings.batchSize}`);
  if (settings.processes > cpus().length) console.error('more processes than cores: they will take turns');
  const folder = mkdtempSync(join(tmpdir(), 'tls-bench-'));
  const networks = makeNetworks(settings);
  const rows = variantsOf(settings, networks).map((row) => ({ ...row, times: [], cpu: [], probes: [] }));
  try {
    for (let round = 0; round < settings.rounds; round++) {
      for (const row of rows) await measure(row, settings, folder);
      console.error(`round ${round + 1} of ${settings.rounds} measured`);
      if (settings.out) writeFileSync(settings.out, describe(settings, rows));
    }
  } finally {
    rmSync(folder, { recursive: true });
    for (const one of networks.values()) one.remove();
  }
  console.log(describe(settings, rows));
}

try {
  await main();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
