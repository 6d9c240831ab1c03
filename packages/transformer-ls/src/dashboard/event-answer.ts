/** Server-sent events as an answer, written to the connection itself: streams of the web would copy each message for each client. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { SECURITY_HEADERS } from './security-headers.js';

export const EVENT_HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store',
};

/** A request that came over a connection. */
export interface Connected {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
}

/** Begins the answer. @param gone called once when the connection has ended, whoever ended it */
export function beginEvents({ incoming, outgoing }: Connected, gone: () => void): void {
  const { socket } = incoming;
  if (socket.destroyed) gone();
  else socket.once('close', gone);
  // The end of the connection is the end of the events: without the frames of chunks all clients can be sent the same bytes.
  outgoing.removeHeader('transfer-encoding');
  outgoing.writeHead(200, { ...SECURITY_HEADERS, ...EVENT_HEADERS, connection: 'close' });
  outgoing.flushHeaders();
}
