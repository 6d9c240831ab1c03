/** What threads wake one another with: two words of shared memory, so that it works where one is blocked. */

/** The words; plain data that can be posted to a thread. */
export type SignalMemory = Int32Array<SharedArrayBuffer>;

const COUNT = 0;
const ALARM = 1;

export function signalMemory(): SignalMemory {
  return new Int32Array(new SharedArrayBuffer(8));
}

export class SharedSignal {
  constructor(private readonly words: SignalMemory) {}

  /** Something has happened: wakes all who wait. */
  raise(): void {
    Atomics.add(this.words, COUNT, 1);
    Atomics.notify(this.words, COUNT);
  }

  /** Something is wrong for good: whoever waits is to look what it is. */
  raiseAlarm(): void {
    Atomics.store(this.words, ALARM, 1);
    this.raise();
  }

  isAlarmed(): boolean {
    return Atomics.load(this.words, ALARM) === 1;
  }

  /** Counts what has happened: to be read before one looks whether there is anything to wait for. */
  moment(): number {
    return Atomics.load(this.words, COUNT);
  }

  /** Blocks this thread until something has happened after the moment. */
  wait(moment: number): void {
    Atomics.wait(this.words, COUNT, moment);
  }

  async waitAsync(moment: number): Promise<void> {
    await Atomics.waitAsync(this.words, COUNT, moment).value;
  }
}
