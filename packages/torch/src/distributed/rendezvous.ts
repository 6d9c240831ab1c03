/**
 * How a process finds the others: torch's variables RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT, as
 * torchrun, the training operators of Kubernetes and people's SLURM scripts set them.
 */
import { dirname, join } from 'node:path';
import { buildInfo } from '../device.js';
import { DistributedError } from './errors.js';
import { Store } from './store.js';

/** Names a file to meet at in place of MASTER_ADDR and MASTER_PORT; set by launchers of one machine. */
export const RENDEZVOUS_FILE = 'TRANSFORMER_LS_RENDEZVOUS';

export interface Membership {
  /** Number of this process, from 0. */
  readonly rank: number;
  readonly world: number;
  /** Number among those of the same machine. */
  readonly localRank: number;
  /** How many there are on this machine. */
  readonly localWorld: number;
}

/** Variables such as those of `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Which of how many processes this one is; null where none of torch's variables say so. @throws DistributedError in one line */
export function membershipFrom(env: Environment = process.env): Membership | null {
  if (env.RANK === undefined && env.WORLD_SIZE === undefined) return null;
  const world = wholeNumber(env, 'WORLD_SIZE', 1, 65_536);
  const rank = wholeNumber(env, 'RANK', 0, world - 1);
  const localWorld =
    env.LOCAL_WORLD_SIZE === undefined ? null : wholeNumber(env, 'LOCAL_WORLD_SIZE', 1, world);
  const localRank = env.LOCAL_RANK === undefined ? 0 : wholeNumber(env, 'LOCAL_RANK', 0, world - 1);
  return { rank, world, localRank, localWorld: localWorld ?? 1 };
}

/** Where to meet, and where Gloo is to listen. */
export interface MeetingPlace {
  readonly store: Store;
  readonly address: string | undefined;
  readonly interfaces: readonly string[];
}

/** @param seconds how long to wait for the store @throws DistributedError in one line */
export function meet(membership: Membership, seconds: number, env: Environment = process.env): MeetingPlace {
  const { world, localWorld } = membership;
  const file = env[RENDEZVOUS_FILE] ?? fileOfAgent(membership, env);
  const store = file === undefined ? tcpStore(membership, seconds, env) : Store.inFile(file, world, seconds);
  const interfaces = (env.GLOO_SOCKET_IFNAME ?? '').split(',').filter((name) => name !== '');
  const isOneMachine = file !== undefined || localWorld === world || isLoopback(text(env, 'MASTER_ADDR'));
  return {
    // torchrun's store outlives the processes that it starts again; those must not find what the earlier ones left.
    store: store.under(`transformer-ls/${env.TORCHELASTIC_RESTART_COUNT ?? 0}`),
    interfaces,
    address: isOneMachine && interfaces.length === 0 ? '127.0.0.1' : undefined,
  };
}

/** Rank 0 keeps the store, unless torchrun's agent does. */
function tcpStore({ rank }: Membership, seconds: number, env: Environment): Store {
  const host = text(env, 'MASTER_ADDR');
  const port = wholeNumber(env, 'MASTER_PORT', 1, 65_535);
  const isServer = rank === 0 && !isKeptByAgent(env);
  const store = Store.overTcp(host, port, { isServer, onLoopback: isLoopback(host), seconds });
  if (isKeptByAgent(env)) refuseOtherProtocol(store, `${host}:${port}`);
  return store;
}

function isKeptByAgent(env: Environment): boolean {
  return env.TORCHELASTIC_USE_AGENT_STORE === 'True';
}

function isOldTorch(): boolean {
  return buildInfo().version.startsWith('1.');
}

/** The stores of torch 1 and 2 do not understand each other, and close the connection at the first question. */
function refuseOtherProtocol(store: Store, place: string): void {
  try {
    store.get('transformer-ls');
  } catch {
    throw new DistributedError(
      `the store that torchrun keeps at ${place} does not understand libtorch ${buildInfo().version}; set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 for torchrun`,
      'other',
    );
  }
}

/**
 * Where torch 1 meets under a torchrun of torch 2, on one machine: in the folder that torchrun has made for this attempt, the one
 * above those in which each process may leave its error.
 */
function fileOfAgent({ world, localWorld }: Membership, env: Environment): string | undefined {
  const { TORCHELASTIC_ERROR_FILE: errorFile } = env;
  if (!isKeptByAgent(env) || localWorld !== world || errorFile === undefined || !isOldTorch())
    return undefined;
  return join(dirname(dirname(errorFile)), 'transformer-ls-store');
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

function text(env: Environment, name: string): string {
  const value = env[name];
  if (value === undefined || value === '')
    throw new DistributedError(
      `${name} is not set, but RANK or WORLD_SIZE is: the processes cannot meet`,
      'other',
    );
  return value;
}

function wholeNumber(env: Environment, name: string, min: number, max: number): number {
  const value = text(env, name);
  const number = Number(value);
  if (!/^\d+$/.test(value) || number < min || number > max)
    throw new DistributedError(
      `${name}: expected a whole number from ${min} to ${max}, received ${JSON.stringify(value)}`,
      'other',
    );
  return number;
}
