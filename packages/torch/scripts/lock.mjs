/** A lock file that names its holder, so that a lock left by a killed process is taken over instead of waited for. */
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
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withLock(path, log, work) {
  mkdirSync(dirname(path), { recursive: true });
  for (let told = false; !tryLock(path); told = true) {
    if (!told) log(`waiting for process ${readHolder(path)?.pid ?? 'unknown'}, which holds ${path}`);
    await sleep(pollMs);
  }
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
  }
}

/** @param {string} path @returns {boolean} */
function tryLock(path) {
  if (takeFree(path)) return true;
  const holder = readHolder(path);
  if (holder !== null && startTime(holder.pid) === holder.started) return false;
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
    writeFileSync(path, JSON.stringify({ pid: process.pid, started: startTime(process.pid) }), {
      flag: 'wx',
    });
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

/** @param {string} path @returns {{ pid: number, started: string | null } | null} */
function readHolder(path) {
  try {
    const holder = JSON.parse(readFileSync(path, 'utf8'));
    return Number.isInteger(holder?.pid) ? holder : null;
  } catch {
    return null;
  }
}

/**
 * When a process started, from the kernel: a process number alone may have been given to another since.
 *
 * @param {number} pid @returns {string | null} null where there is no such process
 */
function startTime(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold spaces; field 22 counted from the start is the 20th after it.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}
