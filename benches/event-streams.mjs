/**
 * What training loses to the dashboard beside it, and to many clients that follow it.
 *
 *   npm run bench -- event-streams [--clients 1000] [--rounds 40] [--seconds 4] [--settle 1] [--recipe text/small] [--threads 2]
 *     [--out <results file>]
 *
 * One run trains all the while, with the program as a user starts it. Beside it three settings take turns: no dashboard, a dashboard, a
 * dashboard and its clients. Each is begun once, and is stopped as a whole (SIGSTOP) while it is not its turn: so a turn may be short, and
 * what else the machine does meets neighbours alike. In each, after `--settle` seconds, tokens and seconds are read from the run's own records,
 * `--seconds` apart. Clients are on this machine too: what they cost by themselves is part of the loss, and is told apart. Needs no Python,
 * and Linux, whose /proc tells memory and processor time.
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
      rounds: { type: 'string', default: '40' },
      seconds: { type: 'string', default: '4' },
      settle: { type: 'string', default: '1' },
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
  child.kill('SIGCONT');
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
  return { metrics, pid: training.child.pid };
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

/** Server and clients of each setting, stopped. */
async function beginSettings({ clients: count }, folder, children) {
  const idle = await beginServer(folder, children);
  const busy = await beginServer(folder, children);
  await sleep(2000);
  const idleBytes = residentBytes(busy.child.pid);
  const clients = await beginClients(busy.port, count, children);
  const settings = { none: {}, idle: { server: idle }, clients: { server: busy, clients, idleBytes } };
  for (const setting of Object.values(settings)) signal(setting, 'SIGSTOP');
  return settings;
}

function signal({ server, clients }, name) {
  for (const process of [server, clients]) process?.child.kill(name);
}

/** One turn: how fast the run was, and what server and clients took. */
async function measure(setting, { clients: count, settle, seconds }, { metrics, pid: trainer }) {
  const { server, clients, idleBytes } = setting;
  signal(setting, 'SIGCONT');
  await sleep(1000 * settle);
  const processes = [server?.child.pid, clients?.child.pid, trainer];
  const first = await clients?.received();
  const begun = {
    at: performance.now(),
    record: newestRecord(metrics),
    cpu: processes.map((pid) => processorMs(pid)),
  };
  await sleep(1000 * seconds);
  const record = newestRecord(metrics);
  const wall = performance.now() - begun.at;
  const busy = processes.map((pid, i) => processorMs(pid) - begun.cpu[i]);
  const [serverCpu, clientsCpu] = busy.map((ms) => ms / wall);
  const last = await clients?.received();
  signal(setting, 'SIGSTOP');
  // Some are always about to come back: streams end after a while.
  if (clients !== undefined && (last.refused > 0 || last.open < 0.9 * count))
    throw new Error(`of ${count} clients ${last.open} are connected; ${last.refused} were refused`);
  const bytes = server === undefined ? 0 : residentBytes(server.child.pid);
  return {
    speed: (record.tokens - begun.record.tokens) / (record.seconds - begun.record.seconds),
    work: (1000 * (record.tokens - begun.record.tokens)) / busy[2],
    serverCpu,
    clientsCpu,
    bytes,
    clientBytes: clients === undefined ? 0 : (bytes - idleBytes) / count,
    events: clients === undefined ? 0 : (1000 * (last.events - first.events)) / count / wall,
    load: loadavg()[0],
  };
}

const NAMES = { none: 'no dashboard', idle: 'dashboard', clients: 'dashboard, clients' };

function describe(settings, rounds) {
  const { clients, seconds, settle, recipe, threads } = settings;
  const of = (setting, key) => rounds.map((round) => round[setting][key]);
  const ratios = (setting, key) => rounds.map((round) => round[setting][key] / round.none[key]);
  const percent = (part) => `${(100 * part).toFixed(2)} %`;
  const rows = Object.keys(NAMES).map((setting) => [
    NAMES[setting],
    median(of(setting, 'speed')).toFixed(0),
    ...(setting === 'none'
      ? ['', '', '', '', '', '', '', '', '']
      : [
          (median(of(setting, 'speed')) / median(of('none', 'speed'))).toFixed(4),
          median(ratios(setting, 'speed')).toFixed(4),
          `${quantile(ratios(setting, 'speed'), 0.25).toFixed(2)} to ${quantile(ratios(setting, 'speed'), 0.75).toFixed(2)}`,
          median(ratios(setting, 'work')).toFixed(4),
          percent(mean(of(setting, 'serverCpu'))),
          setting === 'clients' ? percent(mean(of(setting, 'clientsCpu'))) : '',
          (Math.max(...of(setting, 'bytes')) / 2 ** 20).toFixed(1),
          setting === 'clients' ? (Math.max(...of(setting, 'clientBytes')) / 1024).toFixed(1) : '',
          setting === 'clients' ? mean(of(setting, 'events')).toFixed(2) : '',
        ]),
  ]);
  const titles = [
    'beside training',
    'tokens/s',
    'ratio of medians',
    'median ratio of a round',
    'half of the rounds',
    'the same a CPU second',
    'server CPU',
    "clients' CPU",
    'server MiB',
    'KiB a client',
    'events/s a client',
  ];
  const loads = rounds.flatMap((round) => Object.values(round).map(({ load }) => load));
  return [
    `# Training beside the dashboard and ${clients} clients`,
    '',
    `${machine()}; load average ${Math.min(...loads).toFixed(1)} to ${Math.max(...loads).toFixed(1)}. ${recipe} with ${threads} thread(s) on the embedded corpus, one run all the while; turns of ${seconds} s after ${settle} s, ${rounds.length} rounds. Tokens a second and ratios: medians; "the same a CPU second": tokens for each second of processor time that training got, which says what others do to its caches, not what they take of its time. CPU: part of one processor, mean. MiB and KiB: physical memory, the highest of all turns. The clients are one process on the same machine that reads and counts.`,
    '',
    table(titles, rows),
    '',
    `Tokens a second in each round: ${rounds
      .map((round) => Object.values(round).map(({ speed }) => speed.toFixed(0)))
      .map((speeds) => speeds.join(' '))
      .join('; ')} (${Object.keys(NAMES)
      .map((setting) => NAMES[setting])
      .join(', ')}).`,
    '',
  ].join('\n');
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

function quantile(values, part) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(part * (sorted.length - 1))];
}

async function main() {
  const settings = readSettings();
  const folder = mkdtempSync(join(tmpdir(), 'tls-bench-'));
  const children = new Set();
  const rounds = [];
  // The others would go on without it.
  for (const name of ['SIGINT', 'SIGTERM'])
    process.once(name, () => {
      void Promise.all([...children].map(end)).then(() => process.exit(130));
    });
  try {
    const training = await beginTraining(folder, settings, children);
    const beside = await beginSettings(settings, folder, children);
    const order = Object.keys(NAMES);
    for (let round = 0; round < settings.rounds; round++) {
      const found = { none: undefined, idle: undefined, clients: undefined };
      for (const setting of order) found[setting] = await measure(beside[setting], settings, training);
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
