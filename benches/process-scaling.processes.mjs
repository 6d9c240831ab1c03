/** The processes of benches/process-scaling.mjs: starts them, and gathers what their steps took. */
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { INTERFACE } from './networks.parts.mjs';

const WORKER = fileURLToPath(new URL('./process-scaling.worker.mjs', import.meta.url));
const PROBE = fileURLToPath(new URL('./process-scaling.probe.mjs', import.meta.url));
let meetings = 0;

/**
 * @param networks two machines with a cable between them, of which each process gets one; null: all on this machine
 * @returns {Promise<{ times: number[], cpu: number, gradientBytes: number }[]>} milliseconds of each process's steps, and of the processor
 *   for one
 */
export function runProcesses({ processes, threads, exchange, networks }, settings, folder) {
  return runAll(WORKER, { ...settings, threads, exchange }, { processes, networks, folder });
}

/** @returns {Promise<{ smallMs: number, bucketMs: number }>} what sums take with nothing else to do, of a few numbers and of a bucket */
export async function probeNetwork({ processes, networks }, bucketBytes, folder) {
  const ranks = await runAll(PROBE, { bucketBytes }, { processes, networks, folder });
  return ranks[0];
}

function runAll(program, work, { processes, networks, folder }) {
  meetings += 1;
  const job = JSON.stringify(work);
  const meeting =
    networks === null
      ? { LOCAL_WORLD_SIZE: String(processes), TRANSFORMER_LS_RENDEZVOUS: join(folder, `store-${meetings}`) }
      : {
          ...{
            LOCAL_WORLD_SIZE: '1',
            MASTER_ADDR: networks.addresses[0],
            MASTER_PORT: String(29_500 + meetings),
          },
          GLOO_SOCKET_IFNAME: INTERFACE,
        };
  return Promise.all(
    Array.from({ length: processes }, (_, rank) => {
      const env = { ...process.env, RANK: String(rank), WORLD_SIZE: String(processes), ...meeting };
      const options = { env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] };
      return measuredBy(
        networks === null
          ? fork(program, [job], options)
          : networks.start(rank, process.execPath, [program, job], options),
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
