/** Processes of a benchmark that meet each other: starts them, and gathers what each of them measured. */
import { fork } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { INTERFACE } from './networks.parts.mjs';

let meetings = 0;

/**
 * @param {string} program a file of this folder
 * @param {object} where `networks`: two machines with a cable between them, of which each process gets one; null: all on this machine
 * @param {object} job the program's argument
 * @param {string} folder for what they meet at
 * @returns {Promise<any[]>} what each process has sent, by rank
 */
export function runProcesses(program, { processes, networks = null }, job, folder) {
  meetings += 1;
  const path = fileURLToPath(new URL(program, import.meta.url));
  const args = [JSON.stringify(job)];
  const meeting =
    networks === null
      ? { LOCAL_WORLD_SIZE: String(processes), TRANSFORMER_LS_RENDEZVOUS: join(folder, `store-${meetings}`) }
      : {
          LOCAL_WORLD_SIZE: '1',
          MASTER_ADDR: networks.addresses[0],
          MASTER_PORT: String(29_500 + meetings),
          GLOO_SOCKET_IFNAME: INTERFACE,
        };
  return Promise.all(
    Array.from({ length: processes }, (_, rank) => {
      const env = { ...process.env, RANK: String(rank), WORLD_SIZE: String(processes), ...meeting };
      const options = { env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] };
      return measuredBy(
        networks === null
          ? fork(path, args, options)
          : networks.start(rank, process.execPath, [path, ...args], options),
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
