/** What the system and a run's own records say of processes, for benches/event-streams.mjs. */
import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { residentOf } from './limited.workers.mjs';

/** Bytes that hold the last line of a metrics file, whatever it is. */
const LAST_BYTES = 4096;
const MS_OF_A_TICK = 10;

/** The newest record of training in a metrics file; undefined where there is none yet. */
export function newestRecord(path) {
  let file;
  try {
    file = openSync(path, 'r');
  } catch {
    return undefined;
  }
  const { size } = fstatSync(file);
  const bytes = Buffer.alloc(Math.min(size, LAST_BYTES));
  readSync(file, bytes, 0, bytes.length, size - bytes.length);
  closeSync(file);
  const lines = bytes.toString().split('\n').slice(0, -1);
  const line = lines.findLast((text) => text.startsWith('{"type":"train"'));
  return line === undefined ? undefined : JSON.parse(line);
}

/** Milliseconds for which a process, and those that it began and that live, kept processors busy; 0 without one. */
export function processorMs(pid) {
  if (pid === undefined) return 0;
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name may hold blanks and brackets; user and system time are the 12th and 13th behind it.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
  const own = MS_OF_A_TICK * (Number(fields[11]) + Number(fields[12]));
  return children.reduce((sum, child) => sum + processorMs(Number(child)), own);
}

export const residentBytes = residentOf;
