/** Why a training ended that did not end well: whose fault it was, in one line. */
import type { MemberEnd } from './train-crew.js';
import type { FromWorker } from './worker-messages.js';

export type Failed = Extract<FromWorker, { type: 'failed' }>;

/** What is known of one of the processes at the end. */
export interface Fate {
  readonly rank: number;
  readonly pid: number | undefined;
  readonly end: MemberEnd;
  /** What it said itself. */
  readonly failed: Failed | undefined;
}

/** The line for the user; undefined where all ended well. */
export interface Fault {
  readonly message: string;
  /** What the process at fault said of it, where it could. */
  readonly failed: Failed | undefined;
}

/**
 * Who is at fault: a process that hung; else one that died without a word; else one that failed by itself; else one that never
 * answered while others waited for it. That connections broke or answers did not come is what the others notice.
 *
 * @param isOneOfSeveral whether there are others, perhaps of other machines, whose fates are not known here
 */
export function faultOf(
  fates: readonly Fate[],
  timeoutSeconds: number,
  { isOneOfSeveral = fates.length > 1 }: { readonly isOneOfSeveral?: boolean } = {},
): Fault | undefined {
  const bad = fates.filter(({ end }) => end.code !== 0);
  if (bad.length === 0) return undefined;
  const isAlone = !isOneOfSeveral;
  const named = (fate: Fate, what: string): Fault => {
    const who = isAlone ? 'the training process' : `rank ${fate.rank} (process ${fate.pid})`;
    return { message: `${who} ${what}`, failed: undefined };
  };
  const idle = bad.find(({ end }) => end.wasIdle);
  if (idle !== undefined)
    return named(idle, `did nothing for more than ${timeoutSeconds} s, suspended or hung, and was ended`);
  const died = bad.find(({ failed, end }) => failed === undefined && !end.wasEnded);
  if (died !== undefined) return named(died, howItEnded(died.end));
  const own = bad.find(({ failed }) => failed !== undefined && failed.reason === undefined);
  const noticed = bad.filter(({ failed }) => failed !== undefined);
  const silent = bad.find(({ failed, end }) => failed === undefined && end.wasEnded);
  if (own === undefined && silent !== undefined && noticed.some(({ failed }) => failed!.reason === 'timeout'))
    return named(silent, `did not answer for ${timeoutSeconds} s and was ended`);
  const first = own ?? noticed[0] ?? silent!;
  const { failed } = first;
  if (failed === undefined) return named(first, 'did not end by itself and was ended');
  const isNamed = isAlone || failed.message.startsWith('rank ');
  return { message: isNamed ? failed.message : `rank ${first.rank}: ${failed.message}`, failed };
}

function howItEnded({ code, signal }: MemberEnd): string {
  const how = signal === null ? `ended with code ${code}` : `was ended by ${signal}`;
  return `${how}${signal === 'SIGKILL' ? ' (the system does this when memory runs out)' : ''}`;
}
