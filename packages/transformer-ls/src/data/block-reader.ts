/** Takes bytes from a stream of chunks by count. */
export class BlockReader {
  readonly #chunks: AsyncGenerator<Uint8Array>;
  #chunk: Uint8Array = new Uint8Array();

  constructor(chunks: AsyncGenerator<Uint8Array>) {
    this.#chunks = chunks;
  }

  /** The next bytes, in an array of their own. @throws Error where the stream ends before */
  async take(size: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    for (let left = size; left > 0; left -= parts.at(-1)!.length) parts.push(await this.#next(left));
    return parts.length === 1 ? parts[0]!.slice() : Buffer.concat(parts);
  }

  /** @throws Error where the stream ends before */
  async skip(size: number): Promise<void> {
    for (let left = size; left > 0; ) left -= (await this.#next(left)).length;
  }

  /** Reads to the end. */
  async onlyZerosLeft(): Promise<boolean> {
    for (let chunk = this.#chunk; ; ) {
      if (chunk.some((byte) => byte !== 0)) return false;
      const { done, value } = await this.#chunks.next();
      if (done === true) return true;
      chunk = value;
    }
  }

  async close(): Promise<void> {
    await this.#chunks.return(undefined);
  }

  /** At least one byte and at most `most`, as they come. */
  async #next(most: number): Promise<Uint8Array> {
    while (this.#chunk.length === 0) {
      const { done, value } = await this.#chunks.next();
      if (done === true) throw new Error('it ends too early');
      this.#chunk = value;
    }
    const part = this.#chunk.subarray(0, most);
    this.#chunk = this.#chunk.subarray(part.length);
    return part;
  }
}
