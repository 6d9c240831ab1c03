/** Child processes that are ended when they hold too much memory or take too long. */
import { readFileSync } from 'node:fs';
import { Worker } from './side-by-side.workers.mjs';

/** As in a table: a thousand million bytes. */
export const GB = 1e9;
const POLL_MS = 10;

/** Bytes of physical memory that a process holds; 0 where it has ended. */
export function residentOf(pid) {
  try {
    const [, kib] = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return Number(kib ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** That a process was ended at a limit; the message says which, as `past 8 GB`. */
export class PastLimit extends Error {
  /** @param {'memory' | 'time'} what */
  constructor(what, message) {
    super(message);
    this.what = what;
  }
}

/**
 * A worker with limits: of its memory in GB, all of the process counted, and of the seconds for one answer.
 *
 * `ask` throws PastLimit when one is passed; the worker is then gone.
 */
export class LimitedWorker extends Worker {
  constructor(variant, { memory, seconds }) {
    super(variant);
    this.limits = { memory, seconds };
    this.reasons = { memory: ['memory', `past ${memory} GB`], time: ['time', `past ${seconds} s`] };
    this.child.stdin.on('error', () => undefined); // it may be ended while it is written to
    this.stopped = null;
    this.since = performance.now();
    this.watch = setInterval(() => this.look(), POLL_MS);
  }

  look() {
    const { memory, seconds } = this.limits;
    if (residentOf(this.child.pid) > memory * GB) this.stop(...this.reasons.memory);
    else if (performance.now() - this.since > 1000 * seconds) this.stop(...this.reasons.time);
  }

  stop(what, message) {
    clearInterval(this.watch);
    this.stopped = new PastLimit(what, message);
    this.child.kill('SIGKILL');
  }

  async ask(message) {
    this.since = performance.now();
    try {
      return await super.ask(message);
    } catch (error) {
      if (/can't allocate memory|bad_alloc/.test(error.message)) this.stop(...this.reasons.memory);
      throw this.stopped ?? error;
    } finally {
      this.since = Number.POSITIVE_INFINITY;
    }
  }

  end() {
    clearInterval(this.watch);
    super.end();
  }

  /** Ends it and waits until its memory is free. */
  async ended() {
    this.end();
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    await new Promise((resolve) => this.child.once('exit', resolve));
  }
}
