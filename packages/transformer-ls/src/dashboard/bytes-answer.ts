/** Bytes that several clients are sent at once: in pieces that are parts of them, not copies. A slow client holds a place, and no memory. */

const PIECE_BYTES = 64 * 1024;

/** @param headers those beside the length */
export function bytesAnswer(bytes: Uint8Array, headers: Readonly<Record<string, string>>): Response {
  let sent = 0;
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const piece = bytes.subarray(sent, sent + PIECE_BYTES);
        sent += piece.length;
        controller.enqueue(piece);
        if (sent === bytes.length) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { headers: { ...headers, 'content-length': String(bytes.length) } });
}
