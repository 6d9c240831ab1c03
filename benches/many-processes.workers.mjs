/** Processes of a benchmark that meet each other: starts them, and gathers what each of them measured. */
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

let meetings = 0;

/**
 * @param {string} program a file of this folder
 * @param {object} job its argument
 * @returns {Promise<any[]>} what each process has sent, by rank
 */
export function runProcesses(program, processes, job, folder) {
  meetings += 1;
  const worker = fileURLToPath(new URL(program, import.meta.url));
  const place = join(folder, `store-${meetings}`);
  return Promise.all(
    Array.from({ length: processes }, (_, rank) => {
      const env = {
        ...process.env,
        RANK: String(rank),
        WORLD_SIZE: String(processes),
        LOCAL_WORLD_SIZE: String(processes),
        TRANSFORMER_LS_RENDEZVOUS: place,
      };
      return measuredBy(
        fork(worker, [JSON.stringify(job)], { env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }),
      );
    }),
  );
}

function measuredBy(child) {
  return new Promise((resolve, reject) => {
    let measured;
    child.once('error', reject);
    child.once('message', (said) => {
      measured = said;
    });
    child.once('close', (code) => {
      if (measured !== undefined && code === 0) resolve(measured);
      else reject(new Error(`a process ended with code ${code}`));
    });
  });
}
