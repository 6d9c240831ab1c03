/** Lines of text files, compressed or not, of any size. */
import { DataError } from './errors.js';
import { unpackedBytes } from './unpack.js';

/** A longer line is no line of any format read here. */
const LONGEST_LINE = 1 << 26;

/**
 * The lines of a `.gz`, `.zip` or plain file as bytes, cut at LF alone (texts contain other line ends), without it and without
 * a CR before it; an empty last line is none.
 */
export async function* linesOf(path: string, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  let open: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of unpackedBytes(path, { maxBytes: Number.MAX_SAFE_INTEGER, signal })) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      yield line([...open, chunk.subarray(start, end)]);
      [open, size, start] = [[], 0, end + 1];
    }
    const rest = chunk.slice(start);
    size += rest.length;
    if (size > LONGEST_LINE) throw new DataError(`${path}: a line is longer than ${LONGEST_LINE} bytes`);
    if (rest.length > 0) open.push(rest);
  }
  if (size > 0) yield line(open);
}

function line(parts: readonly Uint8Array[]): Uint8Array {
  const whole = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  return whole.at(-1) === 13 ? whole.subarray(0, -1) : whole;
}

/** The first `count` tab-separated fields of a line, and all that follows the last of these tabs. */
export function fieldsOf(bytes: Uint8Array, count: number): Uint8Array[] {
  const fields: Uint8Array[] = [];
  let start = 0;
  for (let tab = bytes.indexOf(9); tab >= 0 && fields.length < count; tab = bytes.indexOf(9, start)) {
    fields.push(bytes.subarray(start, tab));
    start = tab + 1;
  }
  return [...fields, bytes.subarray(start)];
}
