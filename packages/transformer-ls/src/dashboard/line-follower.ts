/** Complete lines of a file that grows, a piece of it at a time. */
import type { FileHandle } from 'node:fs/promises';

const PIECE_BYTES = 256 * 1024;
/** No record is as long; what is longer is passed over without being kept. */
export const LONGEST_LINE = 64 * 1024;
const LINE_END = 0x0a;
const NOTHING = Buffer.alloc(0);

/** Knows where it is in a file, between one reading and the next. */
export class LineFollower {
  /** Lines seen to their end. */
  lines = 0;
  /** Start of a line whose end has not been read. */
  private begun: Buffer = NOTHING;
  /** Whether the rest of this line is passed over. */
  private passing = false;

  private constructor(
    /** Where the next byte is read. */
    private next: number,
  ) {}

  static fromStart(): LineFollower {
    return new LineFollower(0);
  }

  /** Begins with the first line that starts at `offset` or behind it. */
  static from(offset: number): LineFollower {
    const follower = new LineFollower(Math.max(0, offset - 1));
    // The line that holds the byte before belongs to whoever read that one.
    follower.passing = offset > 0;
    return follower;
  }

  /** Where the first line begins that has not been given out. */
  get offset(): number {
    return this.next - this.begun.length;
  }

  /** How much of the file has been read. */
  get readTo(): number {
    return this.next;
  }

  /** Lines up to the byte `end`, without line ends; undefined stands for one that is too long. Valid until more is asked for. */
  async *read(file: FileHandle, end: number): AsyncGenerator<readonly (Buffer | undefined)[]> {
    const piece = Buffer.allocUnsafe(Math.max(1, Math.min(PIECE_BYTES, end - this.next)));
    while (this.next < end) {
      const length = Math.min(piece.length, end - this.next);
      const { bytesRead } = await file.read(piece, 0, length, this.next);
      if (bytesRead === 0) return;
      this.next += bytesRead;
      yield this.split(piece.subarray(0, bytesRead));
    }
  }

  private split(piece: Buffer): (Buffer | undefined)[] {
    const lines: (Buffer | undefined)[] = [];
    let start = 0;
    for (let end = piece.indexOf(LINE_END); end !== -1; end = piece.indexOf(LINE_END, start)) {
      lines.push(this.ended(piece.subarray(start, end)));
      start = end + 1;
    }
    this.keep(piece.subarray(start));
    this.lines += lines.length;
    return lines;
  }

  private ended(rest: Buffer): Buffer | undefined {
    const { begun, passing } = this;
    this.begun = NOTHING;
    this.passing = false;
    if (passing || begun.length + rest.length > LONGEST_LINE) return undefined;
    return begun.length === 0 ? rest : Buffer.concat([begun, rest]);
  }

  private keep(rest: Buffer): void {
    if (this.passing || rest.length === 0) return;
    this.passing = this.begun.length + rest.length > LONGEST_LINE;
    this.begun = this.passing ? NOTHING : Buffer.concat([this.begun, rest]);
  }
}
