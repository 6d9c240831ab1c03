/** Where processes meet before they are connected: a few texts under names, kept by one of them or by a file. */
import { distributed } from './binding.js';
import { DistributedError, guarded } from './errors.js';

export class Store {
  private constructor(
    /** @internal Number in the bridge; -1 once closed. */
    private number: number,
    private readonly seconds: number,
  ) {}

  /** c10d's TCPStore, at `host:port`. Connecting waits for the server for as long as the timeout says. */
  static overTcp(
    host: string,
    port: number,
    {
      isServer,
      onLoopback,
      seconds,
    }: {
      /** Whether this process keeps the store, and opens the port. */
      isServer: boolean;
      /** Whether the port is to be open to this machine only, which torch 1.13 cannot: there it listens on every address. */
      onLoopback: boolean;
      seconds: number;
    },
  ): Store {
    const doing = `meeting at ${host}:${port}`;
    const number = guarded(doing, seconds, () =>
      distributed().openTcpStore(host, port, isServer, onLoopback, milliseconds(seconds)),
    );
    return new Store(number, seconds);
  }

  /** c10d's FileStore, for processes of one machine: opens no port. The file must be new; the last to leave deletes it. */
  static inFile(path: string, world: number, seconds: number): Store {
    const number = guarded(`meeting at ${path}`, seconds, () => distributed().openFileStore(path, world));
    return new Store(number, seconds);
  }

  /** The same store, where names begin with `prefix`. */
  under(prefix: string): Store {
    return new Store(distributed().prefixStore(this.number, prefix), this.seconds);
  }

  set(key: string, text: string): void {
    guarded(`store, ${key}`, this.seconds, () => distributed().storeSet(this.number, key, text));
  }

  /** What was set; null where nobody has yet. Does not wait. */
  get(key: string): string | null {
    return guarded(`store, ${key}`, this.seconds, () => distributed().storeGet(this.number, key));
  }

  /**
   * Waits until somebody has set it, without blocking: signals and messages are heard.
   *
   * @param signal gives up the waiting
   * @throws DistributedError where it does not come in time
   */
  async waitFor(key: string, seconds: number, signal?: AbortSignal): Promise<string> {
    const end = performance.now() + 1000 * seconds;
    for (let pause = 5; ; pause = Math.min(200, 2 * pause)) {
      const found = this.get(key);
      if (found !== null) return found;
      signal?.throwIfAborted();
      if (performance.now() > end)
        throw new DistributedError(`${key}: nobody has set it within ${seconds} s`, 'timeout');
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  close(): void {
    if (this.number < 0) return;
    distributed().closeStore(this.number);
    this.number = -1;
  }

  /** @internal */
  get handle(): number {
    return this.number;
  }
}

/** @internal */
export function milliseconds(seconds: number): number {
  if (!(seconds > 0)) throw new RangeError(`expected a timeout above 0 seconds, received ${seconds}`);
  return Math.max(1, Math.round(1000 * seconds));
}
