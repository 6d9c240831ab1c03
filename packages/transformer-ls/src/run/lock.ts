import { readFileSync } from 'node:fs';
import { link, open, readFile, rename, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import { removeQuietly, temporaryPath } from './durable.js';
import { RunFolderError } from './errors.js';
import { errorCode, nodeFileSystem } from './file-system.js';
import { isJsonObject, writeJson } from './json.js';

/** Who holds a lock. `started` tells a process from a later one that was given the same number. */
export interface LockHolder {
  readonly pid: number;
  readonly host: string;
  /** Start of the process in clock ticks, with the boot it belongs to; empty where the system does not tell. */
  readonly started: string;
  /** When the lock was taken, ISO 8601. */
  readonly since: string;
}

export interface Lock {
  readonly holder: LockHolder;
  /** Gives the lock back; safe to call twice. */
  release(): Promise<void>;
}

export interface Patience {
  /** How long to wait for another process to give the lock back, or to end. */
  readonly seconds: number;
  /** Called once, with the line of the error that would be thrown, where there is something to wait for. */
  readonly onWait: (line: string) => void;
}

const IMPATIENT: Patience = { seconds: 0, onWait: () => undefined };

/** Between two looks at a lock that another process holds. */
const LOOK_MS = 100;

/**
 * Takes the lock file at `path`, or takes it over where its process is dead.
 *
 * Errors: RunFolderError in one line with the pid, the host and the time where another process holds it.
 */
export async function takeLock(
  path: string,
  now: Date = new Date(),
  patience: Patience = IMPATIENT,
): Promise<Lock> {
  const holder = {
    pid: process.pid,
    host: hostname(),
    started: processStart(process.pid),
    since: now.toISOString(),
  };
  const content = writeJson({ ...holder });
  const prepared = temporaryPath(path);
  await writeSynced(prepared, content);
  const end = performance.now() + 1000 * patience.seconds;
  let hasWaited = false;
  try {
    while (!(await linked(prepared, path))) {
      const found = await readLock(path);
      if (found === undefined) continue;
      if (isHeld(found, path)) {
        const error = heldBy(found, path);
        if (performance.now() >= end) throw error;
        if (!hasWaited) patience.onWait(error.message);
        hasWaited = true;
        await wait(LOOK_MS);
        continue;
      }
      if (await replaceStale(prepared, path, found)) break;
    }
  } finally {
    await removeQuietly(nodeFileSystem, prepared);
  }
  return { holder, release: () => releaseLock(path, content) };
}

/**
 * Takes away the lock of a process of this machine that is dead; others stay. On a disk that several machines share only the one on
 * which it ran can tell.
 */
export async function removeDeadLock(path: string): Promise<void> {
  const found = await readLock(path);
  if (found === undefined || lockStateOf(found) !== 'free') return;
  try {
    // Whoever takes over a dead lock gives his own back.
    await (await takeLock(path)).release();
  } catch (error) {
    // Another process was faster, or it is no lock: who needs it will say so.
    if (!(error instanceof RunFolderError)) throw error;
  }
}

/** `elsewhere`: a process of another machine took it, and nobody here can tell whether it lives. */
export type LockState = 'free' | 'held' | 'elsewhere';

/** What the content of a lock file says, for those who only look. Content that is no lock holds nothing. */
export function lockStateOf(content: string): LockState {
  try {
    return stateOf(parseHolder(content, 'lock'));
  } catch (error) {
    if (error instanceof RunFolderError) return 'free';
    throw error;
  }
}

/**
 * Two processes may find the same dead lock at once. Who replaces it holds a lock on the replacing, and looks again
 * under it: the loser then finds the winner's lock instead of the dead one.
 */
async function replaceStale(prepared: string, path: string, stale: string): Promise<boolean> {
  const replacing = await takeLock(`${path}.taking-over`);
  try {
    if ((await readLock(path)) !== stale) return false;
    await rename(prepared, path);
    return true;
  } finally {
    await replacing.release();
  }
}

/** `link` fails where the name exists, and the file appears with its content: no one ever reads half a lock. */
async function linked(prepared: string, path: string): Promise<boolean> {
  try {
    await link(prepared, path);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

async function readLock(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function releaseLock(path: string, content: string): Promise<void> {
  if ((await readLock(path)) === content) await rm(path, { force: true });
}

async function writeSynced(path: string, content: string): Promise<void> {
  const file = await open(path, 'wx');
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Held unless it is certain that the process is gone: where the system hides processes, its word is not taken for it. */
function isHeld(content: string, path: string): boolean {
  return stateOf(parseHolder(content, path)) !== 'free';
}

function stateOf(holder: LockHolder): LockState {
  if (holder.host !== hostname()) return 'elsewhere';
  if (!isAlive(holder.pid)) return 'free';
  const started = processStart(holder.pid);
  return started === '' || holder.started === '' || started === holder.started ? 'held' : 'free';
}

function heldBy(content: string, path: string): RunFolderError {
  const { pid, host, since } = parseHolder(content, path);
  if (host === hostname())
    return new RunFolderError(`${path}: process ${pid} has been using this run since ${since}`);
  const hint = 'delete the file if that process is gone';
  return new RunFolderError(`${path}: process ${pid} on ${host} took this run at ${since}; ${hint}`);
}

function parseHolder(content: string, path: string): LockHolder {
  try {
    const value: unknown = JSON.parse(content);
    if (isJsonObject(value)) {
      const { pid, host, started, since } = value;
      const texts = [host, started, since].every((one) => typeof one === 'string' && one.length < 300);
      if (Number.isSafeInteger(pid) && Number(pid) > 0 && texts) {
        return {
          pid: Number(pid),
          host: String(host),
          started: String(started),
          since: oneLine(String(since)),
        };
      }
    }
  } catch {
    // Reported below, like any other content that is not a lock.
  }
  throw new RunFolderError(
    `${path}: not a lock file of this program; delete it if no training uses this folder`,
  );
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ');
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) === 'EPERM';
  }
}

/**
 * Boot and start time of a process (field 22 of /proc/<pid>/stat), `dead` for one that has ended and waits for its
 * parent, empty where the system does not tell. The name in field 2 may hold spaces and brackets: count from its end.
 */
function processStart(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return 'dead';
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}:${fields[19] ?? ''}`;
  } catch {
    return '';
  }
}
