/** Child processes that are measured in turn: ours for every libtorch that a bridge is built for, and Python's. */
import { execFileSync, spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { cpus } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { buildRoot, readStamp, sourceHash, stampPath } from '../packages/torch/scripts/toolchain.mjs';

const nearby = (file) => fileURLToPath(new URL(file, import.meta.url));

/** One for each libtorch that a bridge is built for; those that were built from other sources are left out. */
export function ourVariants(file, job) {
  const keys = readdirSync(buildRoot).filter((name) => name.startsWith('torch-'));
  const stamps = keys.map((key) => readStamp(stampPath(key))).filter((stamp) => stamp !== null);
  const hash = sourceHash();
  const current = stamps.filter((stamp) => stamp.sourceHash === hash);
  for (const { libtorch } of stamps.filter((stamp) => stamp.sourceHash !== hash))
    console.error(
      `left out: libtorch ${libtorch.version}, whose bridge was built from other sources; npm run setup builds it anew`,
    );
  return current.map(({ libtorch }) => ({
    name: `ours, libtorch ${libtorch.version} (${libtorch.python === null ? libtorch.origin : "Python's"})`,
    ours: true,
    version: libtorch.version,
    command: [process.execPath, nearby(file)],
    env: libtorch.python === null ? { LIBTORCH: libtorch.root } : { TORCH_PYTHON: libtorch.python },
    job,
  }));
}

/** Of a Python's torch. */
export function torchVersion(python) {
  const version = execFileSync(python, ['-c', 'import torch; print(torch.__version__)'], {
    encoding: 'utf8',
  });
  return version.trim().replace(/\+.*/, '');
}

/** Waits passively like ours: where other programs run, PyTorch's default of spinning threads is several times slower. */
export function pythonVariant(python, file, name, job) {
  return { name, ours: false, command: [python, nearby(file)], env: { OMP_WAIT_POLICY: 'PASSIVE' }, job };
}

/**
 * One contestant of PyTorch's at each of the settings that it may be fastest with: one thread, `threads` that wait without spinning,
 * and with torch 1 as many as it runs by default. They are a `group`, of which the fastest counts.
 */
export function pythonSettings(python, file, group, job, threads) {
  const one = pythonVariant(python, file, `${group}, 1 thread`, { ...job, threads: 1 });
  if (threads === 1) return [{ ...one, group }];
  const passive = pythonVariant(python, file, `${group}, ${threads} threads, passive`, { ...job, threads });
  const spinning = { ...passive, name: `${group}, ${threads} threads`, env: {} };
  const some = torchVersion(python).startsWith('1.') ? [one, passive, spinning] : [one, passive];
  return some.map((variant) => ({ ...variant, group }));
}

/** The row of each group that is lowest by a measure; a row without a group is one of its own. */
export function bestOfGroups(rows, measure) {
  const groups = new Map();
  for (const row of rows) {
    const group = row.variant.group ?? row.variant.name;
    const before = groups.get(group);
    if (before === undefined || measure(row) < measure(before)) groups.set(group, row);
  }
  return [...groups.values()];
}

/** Pythons whose torch is measured: that of TORCH_PYTHON, and others that `--also` names. */
export function pythonsOf({ also = [] }) {
  return [process.env.TORCH_PYTHON, ...also].filter(Boolean);
}

/** The clone of the published code that `--reference-clone` or the environment names; undefined: none. */
export function cloneOf(values) {
  return values['reference-clone'] ?? process.env.TRANSFORMER_LS_REFERENCE;
}

/** One line for each side that is left out; empty where all are there. */
export function leftOut({ pythons, clone }) {
  if (pythons.length === 0)
    return ['Neither TORCH_PYTHON nor --also names a Python with torch: only our side is measured.'];
  if (!clone) return ['No --reference-clone: the published code is left out.'];
  return [];
}

/** Processor, cores and date, as every report begins. */
export function machine() {
  return `${cpus()[0].model.trim()}, ${cpus().length} cores; ${new Date().toISOString().slice(0, 10)}`;
}

/** A Markdown table: the first column is text, the others are numbers. */
export function table(titles, rows) {
  const rule = ['---', ...titles.slice(1).map(() => '---:')];
  return [titles, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** Answers one JSON line to each JSON line; `error` in an answer is thrown. */
export class Worker {
  constructor(variant) {
    this.variant = variant;
    const [file, ...args] = variant.command;
    // What a variant does not set it does not have: our own library sets OMP_WAIT_POLICY where it is loaded.
    const { LIBTORCH: _folder, TORCH_PYTHON: _python, OMP_WAIT_POLICY: _wait, ...inherited } = process.env;
    this.child = spawn(file, args, {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...inherited, ...variant.env },
    });
    this.answers = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  async ask(message) {
    this.child.stdin.write(`${JSON.stringify(message)}\n`);
    const { value, done } = await this.answers.next();
    if (done) throw new Error(`${this.variant.name} ended before it answered`);
    const answer = JSON.parse(value);
    if (answer.error !== undefined) throw new Error(`${this.variant.name}: ${answer.error}`);
    return answer;
  }

  /**
   * Answers to a message given several times in a row, after one time that does not count: it finds its threads on one core, until the
   * scheduler parts them.
   */
  async turn(message = { do: 'step' }, times = 3) {
    await this.ask(message);
    const answers = [];
    for (let i = 0; i < times; i++) answers.push(await this.ask(message));
    return answers;
  }

  end() {
    this.child.stdin.end();
  }
}

export function median(values) {
  const sorted = [...values].sort((x, y) => x - y);
  const [low, high] = [Math.ceil(values.length / 2) - 1, Math.floor(values.length / 2)];
  return (sorted[low] + sorted[high]) / 2;
}

/** @throws Error unless the text of a flag is a whole number from 1 */
export function wholeNumber(flag, text) {
  if (!/^[1-9]\d{0,8}$/.test(text))
    throw new Error(`${flag}: expected a whole number from 1, received ${text}`);
  return Number(text);
}

/** @throws Error unless the text of a flag is a number above 0 */
export function positiveNumber(flag, text) {
  if (!/^\d+(\.\d+)?$/.test(text) || Number(text) === 0)
    throw new Error(`${flag}: expected a number above 0, received ${text}`);
  return Number(text);
}

/** @throws Error unless the text of a flag is whole numbers from 1 with commas between them */
export function wholeNumbers(flag, text) {
  return text.split(',').map((part) => wholeNumber(flag, part));
}

/** @throws Error unless all names, with commas between them, are known */
export function someOf(flag, text, known) {
  const names = text.split(',');
  for (const name of names)
    if (!known.includes(name))
      throw new Error(`${flag}: expected some of ${known.join(', ')}, received ${name}`);
  return names;
}
