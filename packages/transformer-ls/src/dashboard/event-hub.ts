/**
 * All clients of live events. In rounds, each gets what is new for it; one that has not taken what came before is passed over, and goes on from
 * its place in the files later: it is behind by bytes of a file, never by a heap of messages.
 */
import { EventNews, type EventStep, NumberedLists } from './event-news.js';
import { type EventState, eventState } from './event-state.js';
import type { MetricsSamples, TailedRun } from './metrics-samples.js';
import type { TailPlace } from './metrics-tail.js';
import type { RunCatalogue } from './run-catalogue.js';

export interface EventTiming {
  /** Milliseconds between two looks at the files. */
  readonly pollMs: number;
  /** How many times as long as a round kept the processor busy there is none. */
  readonly eventRestRatio: number;
  /** Milliseconds of silence after which a comment shows that the connection lives. */
  readonly heartbeatMs: number;
  /** Milliseconds after which a stream ends, at the latest. */
  readonly streamMs: number;
}

/** Where the events of a client go. */
export interface EventSink {
  /** Bytes that the system has not taken yet. */
  readonly writableLength: number;
  write(bytes: Buffer): boolean;
  once(event: 'drain', listener: () => void): unknown;
  end(): unknown;
  destroy(): unknown;
}

/** Milliseconds after which a browser that lost the connection comes back. */
const RETRY_MS = 2000;
const BEGINNING = Buffer.from(`retry: ${RETRY_MS}\n\n`);
const HEARTBEAT = Buffer.from(': still here\n\n');
/** Streams that began together end apart, or all would come back together: up to so much of their time earlier. */
const SPREAD = 0.1;

interface Client {
  readonly sink: EventSink;
  readonly endsAt: number;
  state: EventState;
  /** When it was last given something. */
  heard: number;
  /** Whether it is looked what comes next. */
  isBusy: boolean;
}

export class EventHub {
  private readonly clients = new Set<Client>();
  private readonly lists: NumberedLists;
  private news: EventNews;
  /** Of the next round; none while there is one, or nobody to tell. */
  private timer: NodeJS.Timeout | undefined;
  private isRound = false;

  constructor(
    catalogue: RunCatalogue,
    private readonly samples: MetricsSamples,
    private readonly timing: EventTiming,
  ) {
    this.lists = new NumberedLists(catalogue);
    this.news = new EventNews(this.lists, samples);
  }

  get size(): number {
    return this.clients.size;
  }

  /** Gives the function that is called when the client has gone. */
  open(sink: EventSink, runs: readonly TailedRun[], places: readonly (TailPlace | undefined)[]): () => void {
    const now = performance.now();
    const endsAt = now + this.timing.streamMs * (1 - SPREAD * Math.random());
    const state = eventState({ runs, places, list: 0, turn: 0 });
    const client = { sink, endsAt, state, heard: now, isBusy: false };
    this.clients.add(client);
    sink.write(BEGINNING);
    void this.goOn([client]);
    if (this.timer === undefined && !this.isRound) this.roundAfter(this.timing.pollMs);
    return () => this.leave(client);
  }

  private leave(client: Client): void {
    this.clients.delete(client);
    if (this.clients.size > 0) return;
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private roundAfter(ms: number): void {
    this.timer = setTimeout(() => void this.round(), ms);
  }

  private async round(): Promise<void> {
    this.timer = undefined;
    this.isRound = true;
    const spent = processorMs();
    await this.tellAll();
    this.isRound = false;
    const { pollMs, eventRestRatio } = this.timing;
    if (this.clients.size > 0) this.roundAfter(Math.max(pollMs, (processorMs() - spent) * eventRestRatio));
  }

  private async tellAll(): Promise<void> {
    const started = performance.now();
    this.news = new EventNews(this.lists, this.samples);
    const groups = new Map<string, Client[]>();
    for (const client of this.clients) {
      const { isBusy, sink, state, endsAt } = client;
      if (started > endsAt) this.end(client);
      else if (!isBusy && sink.writableLength === 0) {
        const group = groups.get(state.key);
        if (group === undefined) groups.set(state.key, [client]);
        else group.push(client);
      }
    }
    await Promise.all([...groups.values()].map((group) => this.goOn(group)));
    const now = performance.now();
    for (const client of this.clients)
      if (now - client.heard >= this.timing.heartbeatMs && client.sink.writableLength === 0)
        this.write(client, HEARTBEAT, now);
  }

  /** What is new for clients that know the same. */
  private async goOn(group: readonly Client[]): Promise<void> {
    for (const client of group) client.isBusy = true;
    const step = await this.news.after(group[0]!.state).catch(() => undefined);
    const now = performance.now();
    for (const client of group) {
      client.isBusy = false;
      if (step !== undefined && this.clients.has(client)) this.give(client, step, now);
    }
  }

  private give(client: Client, { bytes, state, hasMore }: EventStep, now: number): void {
    client.state = state;
    const flows = bytes === undefined || this.write(client, bytes, now);
    if (!hasMore) return;
    const next = () => void (client.isBusy || this.goOn([client]));
    if (flows) setImmediate(next);
    else client.sink.once('drain', next);
  }

  private write(client: Client, bytes: Buffer, now: number): boolean {
    client.heard = now;
    return client.sink.write(bytes);
  }

  private end(client: Client): void {
    this.leave(client);
    if (client.sink.writableLength === 0) client.sink.end();
    else client.sink.destroy();
  }
}

/** Milliseconds for which this process kept a processor busy. */
function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
