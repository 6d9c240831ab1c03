/**
 * Whether a process has stopped computing: one that was suspended, or that waits for what never comes, uses no processor time. Known on
 * Linux only; elsewhere nobody is idle.
 */
import { readFileSync } from 'node:fs';

/** Processor time of all its threads, user and system, in clock ticks; null where the system does not tell. */
export function processorTicks(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name of the program, in brackets, may hold anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return Number(fields[11]) + Number(fields[12]);
  } catch {
    return null;
  }
}

/** Counts for how long each process has used no time. */
export class IdleClock {
  private readonly known = new Map<number, { ticks: number; looks: number }>();

  /** @param ticksOf for tests */
  constructor(private readonly ticksOf = processorTicks) {}

  /** How many looks in a row, this one included, have found the process where it was. By looks, not by the clock: who is suspended himself sees nothing pass. */
  look(pid: number): number {
    const ticks = this.ticksOf(pid);
    const before = this.known.get(pid);
    if (ticks === null) return 0;
    const looks = before?.ticks === ticks ? before.looks + 1 : 0;
    this.known.set(pid, { ticks, looks });
    return looks;
  }
}
