/**
 * Puts a trained model among the shipped ones: `node scripts/ship-model.mjs <name> <run, checkpoint or model folder>`.
 * Writes models/<name>: half-precision safetensors with all that belongs to them, and the same as ONNX in onnx/. The card, README.md,
 * is written by hand and stays.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const CARD = 'README.md';
const MOST_BYTES = 16e6;

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [name, model] = process.argv.slice(2);
if (name === undefined || model === undefined || !/^[a-z][a-z0-9-]*$/.test(name)) {
  console.error('usage: node scripts/ship-model.mjs <name> <run, checkpoint or model folder>');
  process.exit(2);
}

const made = mkdtempSync(join(tmpdir(), 'tls-ship-'));
try {
  const weights = join(made, name);
  exportTo(weights, ['--format', 'safetensors']);
  exportTo(join(weights, 'onnx'), ['--name', name]);
  const bytes = sizeOf(weights);
  if (bytes > MOST_BYTES) throw new Error(`${name}: ${bytes} bytes, expected at most ${MOST_BYTES}`);
  const place = join(root, 'models', name);
  for (const old of namesIn(place)) if (old !== CARD) rmSync(join(place, old), { recursive: true });
  cpSync(weights, place, { recursive: true });
  console.log(`models/${name}: ${(bytes / 1e6).toFixed(1)} MB; its card is models/${name}/${CARD}`);
} catch (error) {
  console.error(`ship-model: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
} finally {
  rmSync(made, { recursive: true });
}

/** @param {string} out @param {string[]} more */
function exportTo(out, more) {
  const cli = join(root, 'packages', 'transformer-ls', 'bin', 'transformer-ls.mjs');
  const args = ['export', /** @type {string} */ (model), '--out', out, '--weights', 'float16', ...more];
  const { status } = spawnSync(process.execPath, [cli, ...args], { stdio: 'inherit' });
  if (status !== 0) throw new Error(`export ended with ${status}`);
}

/** @param {string} folder @returns {string[]} */
function namesIn(folder) {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** @param {string} folder @returns {number} bytes of all files */
function sizeOf(folder) {
  return readdirSync(folder, { recursive: true })
    .map((file) => statSync(join(folder, String(file))))
    .reduce((total, stats) => total + (stats.isFile() ? stats.size : 0), 0);
}
