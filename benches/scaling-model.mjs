/**
 * What many processes would be worth in training: a model, of computation, sums of gradients that overlap with it, and the two small
 * exchanges of a step. Parameters and multiply-accumulates are counted from the recipes' models; nothing is timed.
 *
 *   npm run bench -- scaling-model [--recipes <name,…>] [--processes 8,64,256,1024] [--out <results file>]
 *
 * How far it is off for two processes says `npm run bench -- process-scaling --rates …`. Needs no Python.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { dividesBatch, stepSeconds, strongEfficiency, weakEfficiency } from './scaling-model.formulas.mjs';
import { MACHINES } from './scaling-model.machines.mjs';
import { costOf } from './scaling-model.recipes.mjs';
import { machine, table, wholeNumbers } from './side-by-side.workers.mjs';

const RECIPES = [
  'wikipedia-100m/small-1h',
  'enwik8-base/phase-1',
  'enwik8-large/phase-1',
  'text8-base/phase-1',
  'lra/listops',
  'lra/text',
  'lra/retrieval',
  'lra/image',
  'vision/vil-ls-tiny',
  'vision/vil-ls-small',
  'vision/vil-ls-medium',
  'vision/vil-ls-base',
  'vision/cvt-ls-13',
  'vision/cvt-ls-21',
];

/** The published runs had eight GPUs: a process has an eighth of the batch in weak scaling. */
const PUBLISHED_PROCESSES = 8;

function readSettings() {
  const { values } = parseArgs({
    options: {
      recipes: { type: 'string', default: RECIPES.join(',') },
      processes: { type: 'string', default: '8,64,256,1024' },
      out: { type: 'string' },
    },
  });
  const processes = wholeNumbers('--processes', values.processes);
  return { recipes: values.recipes.split(','), processes, out: values.out };
}

/** Seconds of a process with so many lanes, documents or pictures of its own. */
function workOf({ macs, unit, parameters }, count, { rates, updateSeconds }) {
  const forward = (2 * macs * count) / rates[unit];
  return { forward, backward: 2 * forward, update: updateSeconds(parameters) };
}

function seconds(cost, count, processes, on) {
  const gradients = { bytes: 4 * cost.parameters, bucketBytes: on.bucketBytes(processes) };
  return stepSeconds(processes, workOf(cost, count, on), gradients, on.allReduce, { smallSum: on.smallSum });
}

const percent = (part) => `${(100 * part).toFixed(part > 0.995 || part < 0.1 ? 1 : 0)} %`;

function weak(cost, processes, on) {
  const own = Math.max(1, cost.batch / PUBLISHED_PROCESSES);
  return percent(weakEfficiency(seconds(cost, own, 1, on), seconds(cost, own, processes, on)));
}

function strong(cost, processes, on) {
  if (!dividesBatch(cost.batch, processes, cost.pairs ? 2 : 1)) return '–';
  const alone = seconds(cost, cost.batch, 1, on);
  return percent(strongEfficiency(alone, processes, seconds(cost, cost.batch / processes, processes, on)));
}

function costTable(costs) {
  const rows = costs.map((cost) => {
    const { name, parameters, macs, unit, batch } = cost;
    const most = batch / (cost.pairs ? 2 : 1);
    return [
      name,
      parameters.toLocaleString('en'),
      ((4 * parameters) / 2 ** 20).toFixed(1),
      (macs / 1e9).toFixed(2),
      `${batch} ${unit}s`,
      String(most),
    ];
  });
  return table(
    [
      'recipe',
      'parameters',
      'MiB of gradients a step',
      'G multiply-accumulates forward, of each',
      'batch',
      'processes at most',
    ],
    rows,
  );
}

function efficiencyTable(costs, processes, on) {
  const rows = costs.map((cost) => [
    cost.name,
    (1000 * seconds(cost, Math.max(1, cost.batch / PUBLISHED_PROCESSES), 1, on)).toPrecision(3),
    ...processes.map((count) => weak(cost, count, on)),
    ...processes.map((count) => strong(cost, count, on)),
  ]);
  const titles = [
    'recipe',
    'ms alone',
    ...processes.map((n) => `weak, ${n}`),
    ...processes.map((n) => `fixed, ${n}`),
  ];
  return table(titles, rows);
}

function describe(costs, processes) {
  return [
    '# Many processes: a model',
    '',
    `Counted on: ${machine()}. Nothing here has been run with more than two processes.`,
    '',
    costTable(costs),
    '',
    `Weak: every process has an eighth of the recipe's batch, as on the eight GPUs of the published runs, and the batch grows with them; \`ms alone\` is its step without an exchange. Fixed: the recipe's batch is divided; –: it cannot be (pictures go in pairs, since they are mixed).`,
    '',
    ...MACHINES.flatMap((on) => [
      `## ${on.title}`,
      '',
      on.says,
      '',
      efficiencyTable(costs, processes, on),
      '',
    ]),
  ].join('\n');
}

try {
  const { recipes, processes, out } = readSettings();
  const report = describe(recipes.map(costOf), processes);
  if (out) writeFileSync(out, report);
  console.log(report);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
