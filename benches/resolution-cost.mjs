/**
 * What a larger image costs: time, memory and multiply-accumulates of ViL-LS at 224 to 1024 pixels, with long-short attention in
 * the first two stages as published, and with full attention there; and of the attention of the first stage alone.
 *
 *   npm run bench -- resolution-cost [--cases vil-ls-tiny,vil-ls-medium,attention] [--sides 224,384,512,768,1024]
 *     [--rounds 3] [--threads 1] [--memory-limit 12] [--time-limit 300] [--out <results file>] [--pictures <folder>]
 *
 * A process for every measurement, which builds the model and passes one image through it: forward alone, then forward and
 * backward. The two attentions take turns. Nothing is estimated: a process that holds more than the memory limit (GiB), or takes
 * longer than the time limit (seconds, for building or one kind of pass) is ended, and the table says so; larger images of the
 * same kind are then not tried.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { lineChart } from '../packages/transformer-ls/dist/charts/line-chart.js';
import { residentOf } from './limited.workers.mjs';

const GIB = 2 ** 30;
/** Pixels of an image that a token of the first stage stands for, a side. */
const PATCH = 4;
const KINDS = ['forward', 'training'];
const POLL_MS = 20;

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: 'vil-ls-tiny,vil-ls-medium,attention' },
    sides: { type: 'string', default: '224,384,512,768,1024' },
    rounds: { type: 'string', default: '3' },
    threads: { type: 'string', default: '1' },
    'memory-limit': { type: 'string', default: '12' },
    'time-limit': { type: 'string', default: '300' },
    out: { type: 'string' },
    pictures: { type: 'string' },
  },
});
const sides = values.sides.split(',').map(Number);
const [rounds, threads, memoryLimit, timeLimit] = ['rounds', 'threads', 'memory-limit', 'time-limit'].map(
  (name) => Number(values[name]),
);

// ---- what is compared ------------------------------------------------------------------------------------------

const VARIANTS = [
  { name: 'long-short', job: { attention: 'long-short', biases: true } },
  { name: 'full', job: { attention: 'full', biases: true } },
  { name: 'full, no biases', job: { attention: 'full', biases: false } },
];

function caseOf(name) {
  if (name === 'attention')
    return {
      name,
      title: 'Attention of the first stage alone (width 96, 3 heads, window 7, rank 8, 1 global token)',
      jobOf: (side, { job }) => ({ ...job, side: side / PATCH }),
    };
  return {
    name,
    title: `${name}, one image`,
    jobOf: (side, { job }) => ({ ...job, preset: name, side }),
  };
}

// ---- one measurement -------------------------------------------------------------------------------------------

/** What the process said, and why it was ended before its end, where it was. */
async function measured(job) {
  const worker = fileURLToPath(new URL('./resolution-cost.worker.mjs', import.meta.url));
  const options = { stdio: ['ignore', 'pipe', 'pipe'] };
  const child = spawn(
    process.execPath,
    ['--expose-gc', worker, JSON.stringify({ ...job, threads })],
    options,
  );
  let [stopped, errors, since] = [undefined, '', performance.now()];
  const stop = (reason) => {
    stopped ??= reason;
    child.kill('SIGKILL');
  };
  const watch = setInterval(() => {
    if (residentOf(child.pid) > memoryLimit * GIB) stop(`more than ${memoryLimit} GiB`);
    if (performance.now() - since > 1000 * timeLimit) stop(`more than ${timeLimit} s`);
  }, POLL_MS);
  child.stderr.setEncoding('utf8').on('data', (text) => {
    errors += text;
  });
  const found = {};
  for await (const line of createInterface({ input: child.stdout })) {
    const { done, ...rest } = JSON.parse(line);
    found[done] = rest;
    since = performance.now();
  }
  clearInterval(watch);
  if (job.kinds.some((kind) => found[kind] === undefined))
    stopped ??= lastLine(errors) || 'ended without a word';
  return { found, stopped };
}

function lastLine(text) {
  const lines = text.split('\n').filter((line) => /Error|memory/i.test(line));
  return (lines[0] ?? '').slice(0, 120);
}

// ---- all of them -----------------------------------------------------------------------------------------------

/** Of each side and variant: what was measured over all rounds, or why it was not. */
async function measureCase({ name, jobOf }) {
  // What was over a limit is not tried with larger images.
  const givenUp = new Map(VARIANTS.map((variant) => [variant, {}]));
  const rows = [];
  for (const side of sides) {
    const taken = VARIANTS.map((variant) => ({ variant, row: emptyRow(name, side, variant) }));
    for (let round = 0; round < rounds; round++)
      for (const { variant, row } of taken) {
        const kinds = KINDS.filter((kind) => givenUp.get(variant)[kind] === undefined);
        if (kinds.length === 0) continue;
        const { found, stopped } = await measured({ ...jobOf(side, variant), kinds });
        addTo(row, found);
        // What was ended first, and with it what is more work still.
        const first = KINDS.indexOf(kinds.find((kind) => found[kind] === undefined) ?? '');
        if (first >= 0)
          for (const kind of KINDS.slice(first)) givenUp.get(variant)[kind] ??= { side, stopped };
        console.error(described(row), stopped ?? '');
      }
    for (const { variant, row } of taken)
      rows.push({ ...row, notRun: reasonsOf(givenUp.get(variant), side) });
  }
  return rows;
}

const KIND_TEXT = { forward: 'forward', training: 'with backward' };

function reasonsOf(givenUp, side) {
  const reasons = KINDS.filter((kind) => givenUp[kind] !== undefined).map((kind) => {
    const { side: where, stopped } = givenUp[kind];
    return [kind, where === side ? stopped : `not tried, ${where} pixels took ${stopped}`];
  });
  const isSame = reasons.length === KINDS.length && reasons.every(([, text]) => text === reasons[0][1]);
  return isSame ? reasons[0][1] : reasons.map(([kind, text]) => `${KIND_TEXT[kind]}: ${text}`).join('; ');
}

function emptyRow(name, side, variant) {
  const kind = () => ({ seconds: [], peak: 0 });
  return { name, side, variant: variant.name, forward: kind(), training: kind(), libtorch: '', macs: 0 };
}

function addTo(row, { built, ...found }) {
  row.libtorch = built?.libtorch ?? row.libtorch;
  for (const kind of KINDS) {
    const one = found[kind];
    if (one === undefined) continue;
    row[kind].seconds.push(...one.seconds);
    row[kind].peak = Math.max(row[kind].peak, one.peakResident);
    row.macs = one.macs ?? row.macs;
  }
}

function described(row) {
  const parts = KINDS.map((kind) => `${kind} ${secondsText(row[kind])} s ${memoryText(row[kind])} MiB`);
  return `${row.name} ${row.side} ${row.variant}: ${parts.join(', ')}`;
}

const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

function secondsText({ seconds }) {
  return seconds.length === 0 ? 'not run' : median(seconds).toPrecision(3);
}

function memoryText({ seconds, peak }) {
  return seconds.length === 0 ? 'not run' : `${(peak / 2 ** 20).toFixed(0)}`;
}

// ---- the record ------------------------------------------------------------------------------------------------

function tableOf({ title, name }, rows) {
  const head = [
    name === 'attention' ? 'grid (image)' : 'image',
    'attention',
    'G multiply-accumulates',
    'forward, s',
    'peak, MiB',
    'forward and backward, s',
    'peak, MiB',
    'not run because',
  ];
  const lines = rows.map((row) => {
    const place =
      name === 'attention'
        ? `${row.side / PATCH} x ${row.side / PATCH} (${row.side})`
        : `${row.side} x ${row.side}`;
    const macs = row.macs > 0 ? (row.macs / 1e9).toPrecision(4) : '';
    const figures = KINDS.flatMap((kind) => [secondsText(row[kind]), memoryText(row[kind])]);
    return `| ${[place, row.variant, macs, ...figures, row.notRun].join(' | ')} |`;
  });
  const rule = ['---', '---', '---:', '---:', '---:', '---:', '---:', '---'];
  return `## ${title}\n\n| ${head.join(' | ')} |\n| ${rule.join(' | ')} |\n${lines.join('\n')}\n`;
}

/** What full attention needs for one table of scores of one head, and for the index of its biases, by arithmetic. */
function needs() {
  return sides.map((side) => {
    const tokens = (side / PATCH) ** 2;
    const scores = 4 * (tokens + 1) ** 2;
    return `| ${side} | ${tokens.toLocaleString('en')} | ${(scores / GIB).toFixed(2)} | ${((8 * tokens ** 2) / GIB).toFixed(2)} |`;
  });
}

/** Sides whose index of biases is over the limit by itself. */
function impossible() {
  const over = sides.filter((side) => 8 * (side / PATCH) ** 4 > memoryLimit * GIB);
  return over.length === 0
    ? 'at none of these sizes'
    : `at ${over.join(' and ')} pixels with the limit of ${memoryLimit} GiB`;
}

function report(cases, all) {
  const date = new Date().toISOString().slice(0, 10);
  const { libtorch } = all.flat().find((row) => row.libtorch !== '') ?? { libtorch: 'unknown' };
  const load = loadavg().map((value) => value.toFixed(1));
  const command = `npm run bench -- resolution-cost ${process.argv
    .slice(2)
    .filter(
      (word, i, words) =>
        !['--out', '--pictures'].includes(word) && !['--out', '--pictures'].includes(words[i - 1]),
    )
    .join(' ')}`.trim();
  return `# Cost against resolution

\`${command}\`, ${date}, ${cpus()[0].model.trim()} (${cpus().length} cores, ${threads} thread${threads === 1 ? '' : 's'}; Linux), \
libtorch ${libtorch}, Node ${process.version}, float32, load average at the end ${load.join(' ')}.

One image a pass, random weights: the cost does not depend on them. Consistent mode, stages 3 and 4 have full attention as published in
all variants; "full" has it in stages 1 and 2 as well, with one bias for each displacement, "full, no biases" without them (a learned vector for
each row and column instead). Seconds are medians over the passes of
${rounds} process${rounds === 1 ? '' : 'es'} each, the variants in turn, after a pass that is not counted; memory is the physical memory of the whole process at its
highest during these passes, model and program included. Limits: ${memoryLimit} GiB a process, ${timeLimit} s for building or one kind of pass. Nothing is estimated.

${cases.map((one, i) => tableOf(one, all[i])).join('\n')}
## What full attention would hold at least

By arithmetic, not measured: one table of scores of one head in float32, and the index that says which bias belongs to each pair of
tokens (int64, as published; it holds for all heads). A forward pass holds several tables for each head at once.

| image | tokens of stage 1 | scores of one head, GiB | index of the biases, GiB |
| ---: | ---: | ---: | ---: |
${needs().join('\n')}

Where the index alone is larger than the memory there is, full attention with biases cannot even be built: ${impossible()}.
`;
}

function seriesOf(cases, all, value) {
  return cases.flatMap(({ name }, i) =>
    VARIANTS.map((variant) => ({
      name: `${name}, ${variant.name}`,
      look: 'marked',
      points: all[i]
        .filter((row) => row.variant === variant.name && value(row) !== undefined)
        .map((row) => ({ x: row.side, y: value(row) })),
    })),
  );
}

function pictures(cases, all, folder) {
  mkdirSync(folder, { recursive: true });
  const models = cases.flatMap((one, i) => (one.name === 'attention' ? [] : [[one, all[i]]]));
  const attention = cases.flatMap((one, i) => (one.name === 'attention' ? [[one, all[i]]] : []));
  for (const [file, parts, kind, of, title, yLabel] of [
    ['resolution-seconds', models, 'forward', 'time', 'Time of a forward pass against resolution', 'seconds'],
    [
      'resolution-memory',
      models,
      'training',
      'peak',
      'Memory of forward and backward against resolution',
      'peak, GiB',
    ],
    [
      'resolution-attention',
      attention,
      'forward',
      'time',
      'Time of the attention of stage 1 against resolution',
      'seconds',
    ],
  ]) {
    if (parts.length === 0) continue;
    const value = ({ [kind]: { seconds, peak } }) =>
      seconds.length === 0 ? undefined : of === 'time' ? median(seconds) : peak / GIB;
    const series = seriesOf(
      parts.map(([one]) => one),
      parts.map(([, rows]) => rows),
      value,
    );
    const subtitle = `one image, ${threads} thread${threads === 1 ? '' : 's'}; a line that ends: more than ${memoryLimit} GiB or ${timeLimit} s, not run`;
    const chart = lineChart({ title, subtitle, xLabel: 'side of the image, pixels', yLabel, series });
    writeFileSync(join(folder, `${file}.svg`), chart);
  }
}

const cases = values.cases.split(',').map(caseOf);
const all = [];
for (const one of cases) all.push(await measureCase(one));
const text = report(cases, all);
console.log(text);
if (values.out !== undefined) writeFileSync(values.out, text);
if (values.pictures !== undefined) pictures(cases, all, values.pictures);
