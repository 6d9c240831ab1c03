/** Tables of 256 remainders: the n-th for a byte with n more bytes behind it, so that four bytes go in one step. */
const tables = remainderTables(4);

function remainderTables(count: number): readonly Int32Array[] {
  const first = Int32Array.from({ length: 256 }, (_, byte) => {
    let remainder = byte;
    for (let bit = 0; bit < 8; bit += 1) remainder = (remainder & 1 ? 0xedb88320 : 0) ^ (remainder >>> 1);
    return remainder;
  });
  const all = [first];
  while (all.length < count)
    all.push(all.at(-1)!.map((remainder) => first[remainder & 0xff]! ^ (remainder >>> 8)));
  return all;
}

/**
 * Running CRC-32 of zip entries (polynomial 0xedb88320): pass the previous result to go on.
 * Not taken from node:zlib because browsers lack it.
 */
export function crc32(bytes: Uint8Array, previous = 0): number {
  const [one, two, three, four] = tables as [Int32Array, Int32Array, Int32Array, Int32Array];
  let crc = ~previous;
  let i = 0;
  for (; i + 4 <= bytes.length; i += 4) {
    crc ^= bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    crc =
      four[crc & 0xff]! ^ three[(crc >>> 8) & 0xff]! ^ two[(crc >>> 16) & 0xff]! ^ one[(crc >>> 24) & 0xff]!;
  }
  for (; i < bytes.length; i += 1) crc = one[(crc ^ bytes[i]!) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}
