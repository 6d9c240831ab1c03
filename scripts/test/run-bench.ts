/** Runs `npm run bench`'s script as a user would, on our side alone. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const script = fileURLToPath(new URL('../bench.mjs', import.meta.url));

export function runBench(...args: string[]) {
  const { TORCH_PYTHON: _python, TRANSFORMER_LS_REFERENCE: _clone, ...env } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], {
    encoding: 'utf8',
    env,
  });
  return { status, stdout, stderr };
}

/** Exit code, messages and the filed report of a smoke run. */
export function quickRun(name: string) {
  const folder = mkdtempSync(join(tmpdir(), 'tls-bench-test-'));
  try {
    const out = join(folder, 'report.md');
    const { status, stderr } = runBench(name, '--quick', '--out', out);
    return { status, stderr, report: status === 0 ? readFileSync(out, 'utf8') : '' };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Rows of a Markdown table below its rule, as cells. */
export function tableRows(report: string): string[][] {
  const lines = report.split('\n').filter((line) => line.startsWith('|'));
  const rule = lines.findIndex((line) => /^\|( ?:?-+:? ?\|)+$/.test(line));
  return lines.slice(rule + 1).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}
