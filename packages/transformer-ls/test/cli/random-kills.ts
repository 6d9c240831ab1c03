/** Ends or suspends processes of a training at random moments, until a number of them has been met. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';

/** A process of a training: one that trains (`worker`), or the command that started it. */
export interface Victim {
  readonly pid: number;
  readonly parent: number;
  readonly rank: number | undefined;
  readonly isWorker: boolean;
}

export interface Strike {
  readonly victim: Victim;
  readonly signal: 'SIGKILL' | 'SIGSTOP';
  /** Whether it was about to end anyway, since a strike before had met one of its fellows. */
  readonly wasDoomed: boolean;
  /** What all processes printed from the strike until the command above the victim had ended. */
  readonly printed: string;
}

/** A program that starts a training again when it has failed, and what it and its children have printed. */
export class Restarting {
  printed = '';
  private readonly child: ChildProcess;
  /** Those that were there at a strike. */
  private readonly doomed = new Set<number>();
  readonly ended: Promise<number | null>;

  constructor(command: string, args: readonly string[], folder: string, env: NodeJS.ProcessEnv = {}) {
    this.child = spawn(command, args, { cwd: folder, env: { ...process.env, ...env } });
    for (const stream of [this.child.stdout!, this.child.stderr!])
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.printed += text;
      });
    this.ended = new Promise((resolve) => this.child.once('close', resolve));
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  victims(): Victim[] {
    return descendants(this.child.pid!);
  }

  /** Strikes one of its processes; null where there was none any more. Returns when the consequences have been drawn. */
  async strike(signal: Strike['signal']): Promise<Strike | null> {
    const all = this.victims().filter(({ isWorker }) => isWorker || signal === 'SIGKILL');
    const victim = all[Math.floor(all.length * Math.random())];
    if (victim === undefined) return null;
    const before = this.printed.length;
    const wasDoomed = this.doomed.has(victim.pid);
    for (const { pid } of this.victims()) this.doomed.add(pid);
    try {
      process.kill(victim.pid, signal);
    } catch {
      return null;
    }
    const last = victim.isWorker ? victim.parent : victim.pid;
    while (isThere(last) && !this.hasEnded) await wait(50);
    // What it wrote last may still be in a pipe.
    await wait(200);
    return { victim, signal, wasDoomed, printed: this.printed.slice(before) };
  }
}

export function isThere(pid: number): boolean {
  return existsSync(`/proc/${pid}`) && !/^\d+ \(.*\) [ZX]/s.test(read(`/proc/${pid}/stat`));
}

/** Those below a process that belong to a training, in no order. */
export function descendants(root: number): Victim[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc').filter((one) => /^\d+$/.test(one))) {
    const stat = read(`/proc/${name}/stat`);
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (state !== 'Z' && parent !== undefined) parents.set(Number(name), Number(parent));
  }
  const isBelow = (pid: number): boolean => {
    const parent = parents.get(pid);
    return parent !== undefined && (parent === root || isBelow(parent));
  };
  return [...parents].flatMap(([pid, parent]) => {
    if (!isBelow(pid)) return [];
    const words = read(`/proc/${pid}/cmdline`).split('\0');
    const isWorker = words.some((word) => word.endsWith('/worker-train.js'));
    if (!isWorker && !words.some((word) => word.endsWith('/cli/main.js'))) return [];
    const rank = /(?:^|\0)RANK=(\d+)\0/.exec(read(`/proc/${pid}/environ`))?.[1];
    return [{ pid, parent, rank: rank === undefined ? undefined : Number(rank), isWorker }];
  });
}

/** Nothing of a process that has just ended. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
