/**
 * Threads that work for one that may be blocked. A thread hears of the end of those it has started through its event loop only, and
 * the one that trains sleeps where it waits for a batch: so the threads are started by one that does nothing but listen, and wakes it.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import type { SignalMemory } from './shared-signal.js';

/** What the listening thread is started with. */
export interface CrewOrder {
  /** Address of the module that every thread runs. */
  readonly entry: string;
  /** `workerData` of each thread. */
  readonly members: readonly { readonly port: MessagePort }[];
  /** Where the end of a thread is reported, as a text. */
  readonly reports: MessagePort;
  /** Alarmed by a report. */
  readonly signal: SignalMemory;
}

export class ThreadCrew {
  readonly #listener: Worker;
  readonly #ports: readonly MessagePort[];
  readonly #reports: MessagePort;

  /** @param members `workerData` of each thread, to which its `port` is added */
  constructor(entry: URL, members: readonly object[], signal: SignalMemory) {
    const channels = members.map(() => new MessageChannel());
    const reports = new MessageChannel();
    this.#ports = channels.map(({ port1 }) => port1);
    this.#reports = reports.port1;
    const order: CrewOrder = {
      entry: entry.href,
      members: members.map((data, i) => ({ ...data, port: channels[i]!.port2 })),
      reports: reports.port2,
      signal,
    };
    this.#listener = new Worker(new URL('./listening-thread.js', import.meta.url), {
      workerData: order,
      transferList: [...channels.map(({ port2 }) => port2), reports.port2],
    });
    // Threads that are forgotten must not keep the process.
    this.#listener.unref();
  }

  /** Says the same to every thread. */
  tell(message: unknown): void {
    for (const port of this.#ports) port.postMessage(message);
  }

  /** What the threads have said since one asked last. */
  received(): unknown[] {
    return this.#ports.flatMap(allMessages);
  }

  /** Why threads have ended, in the order in which it was heard; empty as long as all work. */
  failures(): unknown[] {
    return allMessages(this.#reports);
  }

  /** As long as something is awaited the process stays. */
  async whileAwaited<T>(promise: Promise<T>): Promise<T> {
    this.#listener.ref();
    try {
      return await promise;
    } finally {
      this.#listener.unref();
    }
  }

  /** Ends all threads. */
  async close(): Promise<void> {
    await this.#listener.terminate();
    for (const port of [...this.#ports, this.#reports]) port.close();
  }
}

function allMessages(port: MessagePort): unknown[] {
  const messages: unknown[] = [];
  for (let one = receiveMessageOnPort(port); one !== undefined; one = receiveMessageOnPort(port))
    messages.push(one.message);
  return messages;
}
