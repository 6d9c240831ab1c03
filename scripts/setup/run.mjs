/** Running another program during the set-up. */
import { spawn } from 'node:child_process';

/** @typedef {{ quiet: boolean, cwd?: string, env?: NodeJS.ProcessEnv, hold?: (pid: number | undefined) => void }} RunOptions */

/** A step that failed; the message is for the user. */
export class SetupError extends Error {
  /** @override */
  name = 'SetupError';
}

/**
 * Runs a program to its end. Its output is shown as it comes, or with `quiet` only if it fails.
 *
 * @param {string} command @param {readonly string[]} args @param {RunOptions} options
 * @returns {Promise<string>} the output, empty unless quiet
 * @throws {SetupError} with the command line and, with `quiet`, the output's last lines
 */
export function run(command, args, { quiet, cwd, env, hold }) {
  const line = [command, ...args].join(' ');
  return new Promise((done, fail) => {
    const stdio = quiet
      ? /** @type {const} */ (['ignore', 'pipe', 'pipe'])
      : /** @type {const} */ (['ignore', 'inherit', 'inherit']);
    const child = spawn(command, args, {
      stdio: [...stdio],
      ...(cwd ? { cwd } : {}),
      ...(env ? { env } : {}),
    });
    hold?.(child.pid);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (/** @type {string} */ text) => {
        output += text;
      });
    }
    child.once('error', (error) => fail(new SetupError(`${line}: ${error.message}`)));
    child.once('close', (code, signal) => {
      if (code === 0) return done(output);
      const ended = signal === null ? `exit code ${code}` : `ended by ${signal}`;
      const tail = output.trim().split('\n').slice(-20).join('\n');
      fail(new SetupError(`${line}: ${ended}${tail === '' ? '' : `\n${tail}`}`));
    });
  });
}
