/**
 * The bytes of a zip archive for yauzl. Its own reader hands the places that an archive names to Node in the middle of a callback, and a
 * place beyond 2^53 is thrown where nobody catches it: 116 bytes end the program. Here they are errors of the archive.
 *
 * Reads ahead in blocks: the list of contents is read in pieces of some bytes, more than two million of them for ImageNet.
 */
import { readSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { RandomAccessReader } from 'yauzl';

const BLOCK_BYTES = 1 << 20;

export class ZipReader extends RandomAccessReader {
  private block = Buffer.alloc(0);
  private start = 0;

  /** @param file stays open */
  constructor(private readonly file: FileHandle) {
    super();
  }

  override read(
    target: Buffer,
    offset: number,
    length: number,
    position: number,
    done: (error: Error | null) => void,
  ): void {
    try {
      const inBlock = position - this.start;
      if (inBlock < 0 || inBlock + length > this.block.length) this.load(position, length);
      if (this.block.length < length) throw new Error('the file ends too early');
      this.block.copy(target, offset, position - this.start, position - this.start + length);
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    done(null);
  }

  /** @param end behind the last byte; yauzl has seen that it lies in the file */
  override _readStreamForRange(start: number, end: number): Readable {
    return this.file.createReadStream({ start, end: end - 1, autoClose: false, highWaterMark: 1 << 18 });
  }

  private load(position: number, length: number): void {
    const block = Buffer.alloc(Math.max(length, BLOCK_BYTES));
    this.start = position;
    this.block = block.subarray(0, readSync(this.file.fd, block, 0, block.length, position));
  }
}
