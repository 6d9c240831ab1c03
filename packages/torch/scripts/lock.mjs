/**
 * A lock file that names its holders, so that a lock left by a killed process is taken over instead of waited for.
 * Programs that the holder started count as holders too: they live on when only the holder is killed.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const pollMs = 200;

/**
 * Runs `work` while holding the lock at `path`; waits for another live holder.
 *
 * @template T
 * @param {string} path
 * @param {(line: string) => void} log told once if there is someone to wait for
 * @param {(hold: (pid: number | undefined) => void) => Promise<T>} work `hold` adds a started program to the holders
 * @returns {Promise<T>}
 */
export async function withLock(path, log, work) {
  mkdirSync(dirname(path), { recursive: true });
  for (let told = false; !tryLock(path); told = true) {
    if (!told) log(`waiting for another set-up (lock: ${path})`);
    await sleep(pollMs);
  }
  const holders = [identify(process.pid)];
  /** @param {number | undefined} pid */
  const hold = (pid) => {
    if (pid === undefined) return;
    holders.push(identify(pid));
    writeFileSync(`${path}.tmp`, JSON.stringify(holders));
    renameSync(`${path}.tmp`, path);
  };
  try {
    return await work(hold);
  } finally {
    rmSync(path, { force: true });
  }
}

/** @param {string} path @returns {boolean} */
function tryLock(path) {
  if (takeFree(path)) return true;
  if (readHolders(path).some(isAlive)) return false;
  // Moving is atomic: of several processes that see the same dead holder, one clears the lock.
  const aside = `${path}.stale-${process.pid}`;
  try {
    renameSync(path, aside);
  } catch {
    return false;
  }
  rmSync(aside, { force: true });
  return takeFree(path);
}

/** @param {string} path */
function takeFree(path) {
  try {
    writeFileSync(path, JSON.stringify([identify(process.pid)]), { flag: 'wx' });
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

/** @typedef {{ pid: number, started: string | null }} Holder */

/** @param {string} path @returns {Holder[]} */
function readHolders(path) {
  try {
    const holders = JSON.parse(readFileSync(path, 'utf8'));
    return Array.isArray(holders) ? holders : [];
  } catch {
    return [];
  }
}

/** @param {number} pid @returns {Holder} */
function identify(pid) {
  return { pid, started: startTime(pid) };
}

/** @param {Holder} holder */
function isAlive({ pid, started }) {
  return started !== null && startTime(pid) === started;
}

/**
 * When a process started, from the kernel: a process number alone may have been given to another since.
 *
 * @param {number} pid @returns {string | null} null where there is no such process
 */
function startTime(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold spaces; the state follows it, field 22 counted from the start is the start time.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const hasEnded = fields[0] === 'Z';
    return hasEnded ? null : (fields[19] ?? null);
  } catch {
    return null;
  }
}
