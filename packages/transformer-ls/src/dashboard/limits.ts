/** How much the server lets others take. docs/limits.md lists these; each holds for whoever asks, with or without a token. */

/** Pages that follow a run at once; one more is told so with status 503. */
export const MOST_EVENT_CLIENTS = 1024;
/** Connections at once; one more is closed unanswered. Above the streams there is room for what the pages load. */
export const MOST_CONNECTIONS = 2048;
/** Answers at once that are no event streams: each may hold a piece of a file until a slow client has taken it. Others wait for their turn. */
export const MOST_ANSWERS = 128;
/** Requests of one connection, one after the other. */
export const MOST_REQUESTS_OF_A_CONNECTION = 1000;
/** Bytes of the line and the headers of a request. */
export const LARGEST_HEADERS = 16 * 1024;
/** Milliseconds for the headers of a request, however steadily they drip. */
export const HEADERS_MS = 10_000;
/** Milliseconds for a whole request. */
export const REQUEST_MS = 20_000;
/** Milliseconds between two looks for requests that take longer. */
export const CHECK_MS = 5000;
/** Milliseconds that a connection waits for another request. */
export const KEEP_ALIVE_MS = 10_000;
/** Milliseconds after which a connection ends on which nothing moves: that of a client that is gone, or that reads no more. */
export const IDLE_MS = 60_000;
/** Milliseconds of silence after which an event stream shows that it lives; well below `IDLE_MS`. */
export const HEARTBEAT_MS = 15_000;
/**
 * Milliseconds after which an event stream ends whatever happens on it. What a heartbeat says is taken by the system as long as its buffers have
 * room: a client that vanished without a word is not told from one that listens. Those that live come back by themselves, where they were.
 */
export const LONGEST_STREAM_MS = 600_000;
/** Milliseconds between two looks at the metrics of runs that are followed. */
export const POLL_MS = 1000;
/**
 * How many times as long as telling all clients kept the processor busy there is none: training on the same machine must not notice how many
 * they are. What comes in between waits, and is told in one message.
 */
export const EVENT_REST_RATIO = 50;
/** Milliseconds for which the list of runs is good. */
export const FRESH_MS = 2000;
/** How many times as long as a look for runs took there is none. */
export const LOOK_REST_RATIO = 20;

export interface DashboardLimits {
  readonly connections: number;
  readonly eventClients: number;
  readonly answers: number;
  readonly headersMs: number;
  readonly requestMs: number;
  readonly checkMs: number;
  readonly keepAliveMs: number;
  readonly idleMs: number;
  readonly heartbeatMs: number;
  readonly streamMs: number;
  readonly pollMs: number;
  readonly eventRestRatio: number;
  readonly freshMs: number;
  readonly restRatio: number;
}

export const USUAL_LIMITS: DashboardLimits = {
  connections: MOST_CONNECTIONS,
  eventClients: MOST_EVENT_CLIENTS,
  answers: MOST_ANSWERS,
  headersMs: HEADERS_MS,
  requestMs: REQUEST_MS,
  checkMs: CHECK_MS,
  keepAliveMs: KEEP_ALIVE_MS,
  idleMs: IDLE_MS,
  heartbeatMs: HEARTBEAT_MS,
  streamMs: LONGEST_STREAM_MS,
  pollMs: POLL_MS,
  eventRestRatio: EVENT_REST_RATIO,
  freshMs: FRESH_MS,
  restRatio: LOOK_REST_RATIO,
};
