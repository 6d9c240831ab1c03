/** Child processes that are measured in turn: ours for every libtorch that a bridge is built for, and Python's. */
import { execFileSync, spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { buildRoot, readStamp, stampPath } from '../packages/torch/scripts/toolchain.mjs';

const nearby = (file) => fileURLToPath(new URL(file, import.meta.url));

/** One for each libtorch that a bridge is built for. */
export function ourVariants(file, job) {
  const keys = readdirSync(buildRoot).filter((name) => name.startsWith('torch-'));
  const stamps = keys.map((key) => readStamp(stampPath(key))).filter((stamp) => stamp !== null);
  return stamps.map(({ libtorch }) => ({
    name: `ours, libtorch ${libtorch.version} (${libtorch.python === null ? libtorch.origin : "Python's"})`,
    ours: true,
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

/** Answers one JSON line to each JSON line. */
export class Worker {
  constructor(variant) {
    this.variant = variant;
    const [file, ...args] = variant.command;
    const { LIBTORCH: _folder, TORCH_PYTHON: _python, ...inherited } = process.env;
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
    return JSON.parse(value);
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
  if (!/^[1-9]\d{0,3}$/.test(text))
    throw new Error(`${flag}: expected a whole number from 1, received ${text}`);
  return Number(text);
}
