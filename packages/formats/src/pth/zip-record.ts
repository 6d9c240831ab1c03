import type { ByteSource } from '../byte-source.js';
import { crc32 } from '../crc32.js';
import { quoted } from '../describe-value.js';
import { PthError } from './pth-error.js';
import { sourceBytes } from './source-bytes.js';
import {
  checkPlain,
  FULL_32,
  invalidZip,
  LOCAL_HEADER_BYTES,
  viewOf,
  type ZipEntry,
} from './zip-directory.js';

const LOCAL_HEADER_SIGNATURE = 0x04034b50;
/** Bytes read at once where only the checksum of a record is wanted. */
const CHECKSUM_CHUNK_BYTES = 2 ** 22;

/** The data of one entry. Its local header and, once, its checksum are checked when it is first read. */
export class ZipRecord {
  #dataStart: number | undefined;
  #isChecked: boolean;

  constructor(
    private readonly source: ByteSource,
    private readonly entry: ZipEntry,
    /** False: the archive was written without checksums. */
    hasChecksum: boolean,
  ) {
    this.#isChecked = !hasChecksum;
  }

  get byteLength(): number {
    return this.entry.size;
  }

  /** @throws PthError `invalid-zip`, `checksum` or `short-read` */
  async read(start: number, length: number): Promise<Uint8Array> {
    this.#dataStart ??= await this.#checkHeader();
    const isWhole = start === 0 && length === this.entry.size;
    if (!this.#isChecked && !isWhole) await this.#checkInChunks(this.#dataStart);
    const bytes = await sourceBytes(this.source, this.#dataStart + start, length);
    if (!this.#isChecked) this.#check(crc32(bytes));
    return bytes;
  }

  /** Where the data begin. */
  async #checkHeader(): Promise<number> {
    const { name, size, crc, offset, limit } = this.entry;
    const nameBytes = new TextEncoder().encode(name);
    const bytes = await sourceBytes(this.source, offset, LOCAL_HEADER_BYTES + nameBytes.length);
    const header = viewOf(bytes);
    const flags = header.getUint16(6, true);
    checkPlain(name, flags, header.getUint16(8, true));
    // With this flag the true values follow the data; the header has zeros, or the values all the same.
    const followsData = (flags & 8) !== 0;
    const agrees = (value: number, known: number) => value === known || (followsData && value === 0);
    const agreesOnSize = (value: number) => agrees(value, size) || (size >= FULL_32 && value === FULL_32);
    const start = offset + bytes.length + header.getUint16(28, true);
    if (
      header.getUint32(0, true) !== LOCAL_HEADER_SIGNATURE ||
      header.getUint16(26, true) !== nameBytes.length ||
      bytes.subarray(LOCAL_HEADER_BYTES).some((byte, i) => byte !== nameBytes[i]) ||
      !agrees(header.getUint32(14, true), crc) ||
      !agreesOnSize(header.getUint32(18, true)) ||
      !agreesOnSize(header.getUint32(22, true)) ||
      start + size > limit
    )
      throw invalidZip(`${quoted(name)}: its own header does not agree with the directory`);
    return start;
  }

  async #checkInChunks(dataStart: number): Promise<void> {
    let crc = 0;
    for (let at = 0; at < this.entry.size; at += CHECKSUM_CHUNK_BYTES) {
      const length = Math.min(CHECKSUM_CHUNK_BYTES, this.entry.size - at);
      crc = crc32(await sourceBytes(this.source, dataStart + at, length), crc);
    }
    this.#check(crc);
  }

  #check(crc: number): void {
    if (crc !== this.entry.crc)
      throw new PthError(
        'checksum',
        `zip: ${quoted(this.entry.name)}: the checksum does not agree: the file is damaged`,
      );
    this.#isChecked = true;
  }
}
