/** Ending a stream of bytes at a given text. */

/** Lets bytes through up to the first stop text, holding back only what may still become one. */
export class StopScanner {
  private readonly stops: readonly Uint8Array[];
  private held: number[] = [];

  /** @param stops texts that end the stream; empty ones are passed over */
  constructor(stops: readonly string[]) {
    this.stops = stops.filter((stop) => stop !== '').map((stop) => new TextEncoder().encode(stop));
  }

  /** The bytes that are let through now, and whether a stop text (which is never let through) was completed. */
  push(bytes: Uint8Array): { bytes: Uint8Array; stopped: boolean } {
    const through: number[] = [];
    for (const byte of bytes) {
      this.held.push(byte);
      const complete = this.stops.find((stop) => endsWith(this.held, stop));
      if (complete !== undefined) {
        through.push(...this.held.slice(0, this.held.length - complete.length));
        this.held = [];
        return { bytes: Uint8Array.from(through), stopped: true };
      }
      const keep = Math.max(0, ...this.stops.map((stop) => longestBeginning(this.held, stop)));
      through.push(...this.held.splice(0, this.held.length - keep));
    }
    return { bytes: Uint8Array.from(through), stopped: false };
  }

  /** What was held back at the end of the stream. */
  end(): Uint8Array {
    return Uint8Array.from(this.held.splice(0));
  }
}

function endsWith(bytes: readonly number[], end: Uint8Array): boolean {
  const start = bytes.length - end.length;
  return start >= 0 && end.every((byte, index) => bytes[start + index] === byte);
}

/** Length of the longest proper beginning of `stop` that `bytes` ends with. */
function longestBeginning(bytes: readonly number[], stop: Uint8Array): number {
  let length = Math.min(stop.length - 1, bytes.length);
  while (!endsWith(bytes, stop.subarray(0, length))) length--;
  return length;
}
