/** The processes of benches/process-scaling.mjs: starts them, and gathers what their steps took. */
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const WORKER = fileURLToPath(new URL('./process-scaling.worker.mjs', import.meta.url));
let meetings = 0;

/** @returns {Promise<{ times: number[], cpu: number }[]>} milliseconds of each process's steps, and of the processor for one */
export function runProcesses({ processes, threads, exchange }, settings, folder) {
  meetings += 1;
  const place = join(folder, `store-${meetings}`);
  const job = { ...settings, threads, exchange };
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
        fork(WORKER, [JSON.stringify(job)], { env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }),
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
