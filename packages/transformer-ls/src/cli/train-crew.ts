/** The processes that train: one, or several on this machine that meet by torch's variables. */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RENDEZVOUS_FILE } from '@transformer-ls/torch';
import { IdleClock } from './idle-process.js';
import type { ToWorker } from './worker-messages.js';

/** How a process ended. */
export interface MemberEnd {
  readonly code: number | null;
  readonly signal: string | null;
  /** Whether this program ended it, since another one had failed. */
  readonly wasEnded: boolean;
  /** Whether this program ended it, since it had used no processor time for long. */
  readonly wasIdle: boolean;
}

export interface CrewMember {
  readonly rank: number;
  readonly child: ChildProcess;
  readonly ended: Promise<MemberEnd>;
}

/** How long the others have to save or fail by themselves after one has failed, and it has to end. */
export const GRACE_SECONDS = 10;

/** How often it is looked whether a process still computes. */
const LOOK_MS = 1000;

export class Crew {
  readonly members: readonly CrewMember[];
  /** Where they meet: a private folder, so no port is opened that others could reach. */
  private readonly place: string | null;
  private readonly wasEnded = new Set<number>();
  private readonly wasIdle = new Set<number>();
  private grace: NodeJS.Timeout | undefined;

  constructor(readonly size: number) {
    this.place = size === 1 ? null : mkdtempSync(join(tmpdir(), 'transformer-ls-'));
    this.members = Array.from({ length: size }, (_, rank) => {
      const child = startWorker(this.environment(rank));
      return { rank, child, ended: this.endOf(rank, child) };
    });
  }

  tell(message: ToWorker): void {
    // A worker that has just ended cannot be told anything; its end is reported elsewhere.
    for (const { child } of this.members) if (child.connected) child.send(message, () => undefined);
  }

  /** @param spared one that ends by itself */
  kill(spared?: number): void {
    for (const { rank, child } of this.members) {
      if (rank === spared) continue;
      if (child.exitCode !== null || child.signalCode !== null) continue;
      this.wasEnded.add(rank);
      child.kill('SIGKILL');
    }
  }

  /** One has failed: those that are left after a while are ended. They may wait for it, and it may not end by itself. */
  endSoon(): void {
    this.grace ??= setTimeout(() => this.kill(), 1000 * GRACE_SECONDS);
  }

  /**
   * Ends a process that has used no processor time for so long that it must be suspended or hang: what waits for another process gives
   * up before. Returns what ends the watching.
   */
  endIdle(seconds: number): () => void {
    const clock = new IdleClock();
    const look = ({ rank, child }: CrewMember) => {
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
      if (clock.look(child.pid) * LOOK_MS < 1000 * seconds) return;
      this.wasIdle.add(rank);
      child.kill('SIGKILL');
    };
    const timer = setInterval(() => this.members.forEach(look), LOOK_MS);
    return () => clearInterval(timer);
  }

  /** Waits for all. */
  async allEnded(): Promise<MemberEnd[]> {
    const watch = async ({ ended }: CrewMember) => {
      const end = await ended;
      if (end.code !== 0) this.endSoon();
      return end;
    };
    try {
      return await Promise.all(this.members.map(watch));
    } finally {
      clearTimeout(this.grace);
      if (this.place !== null) rmSync(this.place, { recursive: true, force: true });
    }
  }

  /** As torchrun sets it; of a process alone as it is, for it may be one that torchrun has started. */
  private environment(rank: number): NodeJS.ProcessEnv {
    if (this.place === null) return process.env;
    return {
      ...process.env,
      RANK: String(rank),
      WORLD_SIZE: String(this.size),
      LOCAL_RANK: String(rank),
      LOCAL_WORLD_SIZE: String(this.size),
      MASTER_ADDR: '127.0.0.1',
      [RENDEZVOUS_FILE]: join(this.place, 'store'),
    };
  }

  private endOf(rank: number, child: ChildProcess): Promise<MemberEnd> {
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      // 'close' comes when its last messages and lines have been read.
      child.once('close', (code, signal) =>
        resolve({ code, signal, wasEnded: this.wasEnded.has(rank), wasIdle: this.wasIdle.has(rank) }),
      );
    });
  }
}

function startWorker(env: NodeJS.ProcessEnv): ChildProcess {
  return fork(fileURLToPath(new URL('./worker-train.js', import.meta.url)), [], {
    // NaN and infinities must arrive as they are.
    serialization: 'advanced',
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    // libgomp reads it when the process starts: spinning threads take the cores from OpenBLAS's.
    env: { ...env, OMP_WAIT_POLICY: env.OMP_WAIT_POLICY ?? 'PASSIVE' },
  });
}
