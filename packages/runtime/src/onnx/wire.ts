/** The fields of a protobuf message, read in place: nothing is copied, and what a field holds is looked at by whoever asks. */

/** Bytes that are no message; the message is the reason, in a few words. */
export class WireError extends Error {
  override readonly name = 'WireError';
}

/** How a value is written; groups (3 and 4) are older than ONNX, and no writer of it has them. */
const VARINT = 0;
const EIGHT_BYTES = 1;
const LENGTH = 2;
const FOUR_BYTES = 5;

/** Of a number of 64 bits. */
const MOST_VARINT_BYTES = 10;
/** Of a tag or a length: engines read 32 bits, and go different ways with more. */
const MOST_SHORT_VARINT_BYTES = 5;

/** Steps through the fields between two places. */
export class Fields {
  /** Of the field that `next` found. */
  number = 0;
  /** Where its bytes begin and end, where it has any: a text, bytes or a message. */
  start = 0;
  end = 0;
  /** Whether it is bytes; else it is a number. */
  isBytes = false;
  /** Whether it is a number other than 0. */
  isSet = false;

  constructor(
    private readonly bytes: Uint8Array,
    private at = 0,
    private readonly limit = bytes.length,
  ) {}

  /** Goes on to the next field. @returns whether there is one @throws WireError where bytes are no field */
  next(): boolean {
    if (this.at >= this.limit) return false;
    const tag = this.shortVarint();
    this.number = Math.floor(tag / 8);
    if (this.number === 0) throw new WireError('a field has the number 0');
    this.isBytes = false;
    this.isSet = false;
    switch (tag % 8) {
      case VARINT:
        this.isSet = this.longVarintIsSet();
        break;
      case EIGHT_BYTES:
        this.skip(8);
        break;
      case FOUR_BYTES:
        this.skip(4);
        break;
      case LENGTH: {
        const length = this.shortVarint();
        this.isBytes = true;
        this.start = this.at;
        this.skip(length);
        this.end = this.at;
        break;
      }
      default:
        throw new WireError('a field is of no known type');
    }
    return true;
  }

  private skip(count: number): void {
    if (count > this.limit - this.at) throw new WireError('it ends early');
    this.at += count;
  }

  private byte(): number {
    this.skip(1);
    return this.bytes[this.at - 1] as number;
  }

  private shortVarint(): number {
    let value = 0;
    for (let i = 0; i < MOST_SHORT_VARINT_BYTES; i += 1) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte >= 0x80) continue;
      if (value >= 2 ** 32) break;
      return value;
    }
    throw new WireError('a tag or a length is of more than 32 bits');
  }

  private longVarintIsSet(): boolean {
    let bits = 0;
    for (let i = 0; i < MOST_VARINT_BYTES; i += 1) {
      const byte = this.byte();
      bits |= byte & 0x7f;
      if (byte < 0x80) return bits !== 0;
    }
    throw new WireError('a number is of more than 64 bits');
  }
}
