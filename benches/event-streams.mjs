/**
 * What training loses to the dashboard beside it, and to many clients that follow it.
 *
 *   npm run bench -- event-streams [--clients 1000] [--rounds 8] [--seconds 15] [--settle 5] [--recipe text/small] [--threads 2]
 *     [--out <results file>]
 *
 * One run trains all the while, with the program as a user starts it. Around it three settings take turns: no dashboard, a dashboard, a
 * dashboard and its clients. In each, after `--settle` seconds, tokens and seconds are read from the run's own records, `--seconds` apart.
 * Clients are on this machine too: what they cost by themselves is part of the loss, and is told apart. Needs no Python. Memory and processor time
 * come from /proc.
 */
import { fork, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { newestRecord, processorMs, residentBytes } from './event-streams.process.mjs';
import { machine, median, positiveNumber, table, wholeNumber } from './side-by-side.workers.mjs';

const nearby = (file) => fileURLToPath(new URL(file, import.meta.url));
const PROGRAM = nearby('../packages/transformer-ls/dist/cli/main.js');
const RUN = 'a';

function readSettings() {
  const { values } = parseArgs({
    options: {
      clients: { type: 'string', default: '1000' },
      rounds: { type: 'string', default: '8' },
      seconds: { type: 'string', default: '15' },
      settle: { type: 'string', default: '5' },
      recipe: { type: 'string', default: 'text/small' },
      threads: { type: 'string', default: '2' },
      out: { type: 'string' },
    },
  });
  return {
    clients: wholeNumber('--clients', values.clients),
    rounds: wholeNumber('--rounds', values.rounds),
    seconds: positiveNumber('--seconds', values.seconds),
    settle: positiveNumber('--settle', values.settle),
    recipe: values.recipe,
    threads: wholeNumber('--threads', values.threads),
    out: values.out,
  };
}

/** A process that is ended with the benchmark. */
function started(child, children) {
  const ended = new Promise((resolve) => child.once('close', resolve));
  const process = { child, ended };
  children.add(process);
  ended.then(() => children.delete(process));
  return process;
}

async function end({ child, ended }) {
  child.kill('SIGTERM');
  await ended;
}

async function beginTraining(folder, { recipe, threads }, children) {
  // Nothing but training steps: evaluations and checkpoints would fall into some windows and not into others.
  const never = ['evaluateEverySteps', 'checkpointEverySteps'].flatMap((key) => [
    '--set',
    `${key}=100000000`,
  ]);
  const what = [
    'train',
    recipe,
    '--data',
    'embedded',
    '--out',
    join('runs', RUN),
    '--threads',
    String(threads),
  ];
  const args = [PROGRAM, ...what, '--max-time', '10h', ...never, '--json'];
  const training = started(
    spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] }),
    children,
  );
  const metrics = join(folder, 'runs', RUN, 'metrics.jsonl');
  while ((newestRecord(metrics)?.step ?? 0) < 3) {
    if (training.child.exitCode !== null) throw new Error('the training ended before it began');
    await sleep(200);
  }
  return metrics;
}

async function beginServer(folder, children) {
  const args = [PROGRAM, 'dashboard', 'runs', '--port', '0', '--json'];
  const server = started(
    spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'pipe', 'ignore'] }),
    children,
  );
  const line = await new Promise((resolve, reject) => {
    server.child.stdout.once('data', (text) => resolve(String(text)));
    server.child.once('close', () => reject(new Error('the dashboard did not start')));
  });
  return { ...server, port: JSON.parse(line).port };
}

async function beginClients(port, count, children) {
  const numbers = [String(port), String(count), RUN];
  const clients = started(fork(nearby('./event-streams.clients.mjs'), numbers), children);
  const told = () => new Promise((resolve) => clients.child.once('message', resolve));
  await told();
  return {
    ...clients,
    async received() {
      const answer = told();
      clients.child.send('received');
      return answer;
    },
  };
}

/** One window: how fast the run was, and what server and clients took. */
async function measure(setting, settings, { folder, metrics, children }) {
  const { clients: count, settle, seconds } = settings;
  const server = setting === 'none' ? undefined : await beginServer(folder, children);
  const idleBytes = server === undefined ? 0 : residentBytes(server.child.pid);
  const clients = setting === 'clients' ? await beginClients(server.port, count, children) : undefined;
  await sleep(1000 * settle);
  const processes = [server, clients].map((one) => one?.child.pid);
  const begun = { at: performance.now(), record: newestRecord(metrics), cpu: processes.map(processorMs) };
  const first = await clients?.received();
  await sleep(1000 * seconds);
  const record = newestRecord(metrics);
  const wall = performance.now() - begun.at;
  const last = await clients?.received();
  const [serverCpu, clientsCpu] = processes.map((pid, i) => (processorMs(pid) - begun.cpu[i]) / wall);
  const found = {
    speed: (record.tokens - begun.record.tokens) / (record.seconds - begun.record.seconds),
    serverCpu,
    clientsCpu,
    bytes: server === undefined ? 0 : residentBytes(server.child.pid),
    clientBytes: clients === undefined ? 0 : (residentBytes(server.child.pid) - idleBytes) / count,
    events: clients === undefined ? 0 : (1000 * (last.events - first.events)) / count / wall,
    load: loadavg()[0],
  };
  if (clients !== undefined && last.open !== count)
    throw new Error(`${count - last.open} clients were cut off`);
  for (const one of [clients, server]) if (one !== undefined) await end(one);
  return found;
}

const NAMES = { none: 'no dashboard', idle: 'dashboard', clients: 'dashboard, clients' };

function describe(settings, rounds) {
  const { clients, seconds, settle, recipe, threads } = settings;
  const of = (setting, key) => median(rounds.map((round) => round[setting][key]));
  const lossOf = (setting) => median(rounds.map((round) => 1 - round[setting].speed / round.none.speed));
  const percent = (part) => `${(100 * part).toFixed(2)} %`;
  const rows = Object.keys(NAMES).map((setting) => [
    NAMES[setting],
    of(setting, 'speed').toFixed(0),
    setting === 'none' ? '' : (of(setting, 'speed') / of('none', 'speed')).toFixed(4),
    setting === 'none' ? '' : percent(lossOf(setting)),
    setting === 'none' ? '' : percent(of(setting, 'serverCpu')),
    setting === 'clients' ? percent(of(setting, 'clientsCpu')) : '',
    setting === 'none' ? '' : (of(setting, 'bytes') / 2 ** 20).toFixed(1),
    setting === 'clients' ? (of(setting, 'clientBytes') / 1024).toFixed(1) : '',
    setting === 'clients' ? of(setting, 'events').toFixed(2) : '',
  ]);
  const each = rounds.map((round, i) => [
    String(i + 1),
    ...Object.keys(NAMES).map((setting) => round[setting].speed.toFixed(0)),
    ...Object.keys(NAMES).map((setting) => round[setting].load.toFixed(1)),
  ]);
  const titles = [
    'beside training',
    'tokens/s',
    'ratio of medians',
    'median of losses by round',
    'server CPU',
    "clients' CPU",
    'server MiB',
    'KiB a client',
    'events/s a client',
  ];
  return [
    `# Training beside the dashboard and ${clients} clients`,
    '',
    `${machine()}. ${recipe} with ${threads} thread(s) on the embedded corpus; windows of ${seconds} s after ${settle} s, medians of ${rounds.length} rounds in which the settings take turns; one run trains all the while. CPU: part of one processor. Clients run on the same machine, in one process that reads and counts.`,
    '',
    table(titles, rows),
    '',
    'Tokens a second in each round, and the load average at its end:',
    '',
    table(['round', ...Object.values(NAMES), ...Object.values(NAMES).map((name) => `load, ${name}`)], each),
    '',
  ].join('\n');
}

async function main() {
  const settings = readSettings();
  const folder = mkdtempSync(join(tmpdir(), 'tls-bench-'));
  const children = new Set();
  const rounds = [];
  try {
    const metrics = await beginTraining(folder, settings, children);
    await sleep(1000 * settings.settle);
    const order = Object.keys(NAMES);
    for (let round = 0; round < settings.rounds; round++) {
      const found = {};
      for (const setting of order)
        found[setting] = await measure(setting, settings, { folder, metrics, children });
      rounds.push(found);
      // Each comes first in turn: what the machine does over time meets all of them.
      order.push(order.shift());
      console.error(`round ${round + 1} of ${settings.rounds} measured`);
      if (settings.out) writeFileSync(settings.out, describe(settings, rounds));
    }
  } finally {
    await Promise.all([...children].map(end));
    rmSync(folder, { recursive: true });
  }
  console.log(describe(settings, rounds));
}

try {
  await main();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
