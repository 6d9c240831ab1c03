/**
 * Runs the tests: `node scripts/test.mjs [--full] [what vitest takes]`. The last line is `N passed, N failed`.
 * `--full` adds the long ones (`*.full.test.ts`).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { formatSummary, summarise } from './test-summary.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');

/** @param {string[]} args @returns {number} exit code */
function main(args) {
  if (!existsSync(vitest)) {
    console.error('vitest is not installed; run: npm run setup');
    console.log(formatSummary({ passed: 0, failed: 1, skipped: 0 }));
    return 1;
  }
  const folder = mkdtempSync(join(tmpdir(), 'tls-test-'));
  try {
    return runVitest(args, join(folder, 'report.json'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** @param {string[]} args @param {string} reportPath */
function runVitest(args, reportPath) {
  const passOn = args.filter((arg) => arg !== '--full');
  const env = args.includes('--full') ? { ...process.env, TLS_TEST_FULL: '1' } : process.env;
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${reportPath}`];
  const { status } = spawnSync(process.execPath, [vitest, 'run', ...reporters, ...passOn], {
    cwd: root,
    env,
    stdio: 'inherit',
  });
  const summary = summarise(readReport(reportPath), status);
  console.log(formatSummary(summary));
  return status === 0 && summary.failed === 0 ? 0 : 1;
}

/** @param {string} path */
function readReport(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return null;
  }
}

process.exitCode = main(process.argv.slice(2));
