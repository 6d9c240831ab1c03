/** `--torch pip`: a virtual environment of this project with a current torch, from the index the user's pip uses. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { run } from './run.mjs';

/**
 * Works on what an interrupted run left: pip goes on where it was, and a virtual environment without pip is made anew.
 *
 * @param {string} venv @param {import('./run.mjs').RunOptions} options
 */
export async function installTorchInVenv(venv, options) {
  const python = join(venv, 'bin', 'python');
  const usable = spawnSync(python, ['-m', 'pip', '--version']).status === 0;
  if (!usable) await run('python3', ['-m', 'venv', '--clear', venv], options);
  await run(python, ['-m', 'pip', 'install', '--upgrade', '--disable-pip-version-check', 'torch'], options);
}
