/**
 * What one client of live events gets, one message after another. Nothing is made before the client has taken what came earlier: a slow
 * one is behind by some bytes of a file, never by a heap of messages.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { MetricsTail } from './metrics-tail.js';
import type { RunCatalogue } from './run-catalogue.js';

export interface FeedTiming {
  /** Milliseconds between two looks at the files. */
  readonly pollMs: number;
  /** Milliseconds of silence after which a comment shows that the connection lives. */
  readonly heartbeatMs: number;
}

/** Milliseconds after which a browser that lost the connection comes back. */
const RETRY_MS = 2000;

export class EventFeed {
  private readonly ended = new AbortController();
  private shownList = '';
  /** Which run is looked at first: a busy one must not keep the others waiting. */
  private turn = 0;
  private hasBegun = false;

  constructor(
    private readonly tails: readonly MetricsTail[],
    private readonly catalogue: RunCatalogue,
    private readonly timing: FeedTiming,
  ) {}

  /** Ends the waiting of `next`. */
  end(): void {
    this.ended.abort();
  }

  /** The next text of the stream; waits for one. Undefined at the end. */
  async next(): Promise<string | undefined> {
    if (!this.hasBegun) {
      this.hasBegun = true;
      return `retry: ${RETRY_MS}\n\n`;
    }
    let silence = 0;
    while (!this.ended.signal.aborted) {
      const message = (await this.newMetrics()) ?? (await this.newList());
      if (message !== undefined) return message;
      if (silence >= this.timing.heartbeatMs) return ': still here\n\n';
      silence += this.timing.pollMs;
      await this.pause();
    }
    return undefined;
  }

  private async newMetrics(): Promise<string | undefined> {
    for (let count = 0; count < this.tails.length; count++) {
      const tail = this.tails[this.turn]!;
      this.turn = (this.turn + 1) % this.tails.length;
      const metrics = await tail.next();
      if (metrics !== undefined) return this.message('metrics', JSON.stringify(metrics));
    }
    return undefined;
  }

  private async newList(): Promise<string | undefined> {
    const { text } = await this.catalogue.snapshot();
    if (text === this.shownList) return undefined;
    this.shownList = text;
    return this.message('runs', text);
  }

  private message(event: string, data: string): string {
    return `event: ${event}\nid: ${feedId(this.tails)}\ndata: ${data}\n\n`;
  }

  private async pause(): Promise<void> {
    await sleep(this.timing.pollMs, undefined, { signal: this.ended.signal }).catch(() => undefined);
  }
}

/** Places of all runs of a feed: a browser sends it back, and goes on where it was. */
function feedId(tails: readonly MetricsTail[]): string {
  return tails.map(({ place: { offset, identity } }) => `${offset}-${identity}`).join(',');
}

/** The places in an id of `feedId`; undefined where it is not one of so many runs. */
export function placesOfFeedId(
  id: string | undefined,
  runs: number,
): { offset: number; identity: string }[] | undefined {
  const parts = id === undefined || id === '' ? [] : id.split(',');
  if (parts.length !== runs) return undefined;
  const places = parts.map((part) => /^(\d{1,15})-(\d{0,20})$/.exec(part));
  if (places.includes(null)) return undefined;
  return places.map((match) => ({ offset: Number(match![1]), identity: match![2]! }));
}
