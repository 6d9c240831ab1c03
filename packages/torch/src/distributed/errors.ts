/** What can go wrong between processes, in one line each. */

/**
 * The other processes of a group cannot be reached, or did not answer in time. After one of these a group is of no more use: what
 * was under way may have been done by some of them only.
 */
export class DistributedError extends Error {
  override name = 'DistributedError';
  constructor(
    message: string,
    /** `gone`: a connection broke, so a process has ended. `timeout`: nobody ended, but somebody did not answer. */
    readonly reason: 'gone' | 'timeout' | 'other',
  ) {
    super(message);
  }
}

/** Runs a call of the bridge; what c10d and Gloo say over many lines and with their own file names becomes one line. */
export function guarded<T>(doing: string, seconds: number, run: () => T): T {
  try {
    return run();
  } catch (fault) {
    if (!(fault instanceof Error)) throw fault;
    throw explained(doing, seconds, fault.message);
  }
}

/** The same for a call that does other things too: what they say of themselves is left as it is. */
export function guardedExchange<T>(doing: string, seconds: number, run: () => T): T {
  try {
    return run();
  } catch (fault) {
    const said = fault instanceof Error ? fault.message : '';
    throw GONE.test(said) || TIMEOUT.test(said) ? explained(doing, seconds, said) : fault;
  }
}

const GONE =
  /closed by peer|connection reset|broken pipe|connection refused|connection was closed|failed to recv|failed to send/i;
/** Address and port of the other end, as Gloo writes them: it tells the machine. */
const PEER = /\[([\da-f:.]+)\]:\d+/i;
const TIMEOUT = /time[d]? ?out/i;

function explained(doing: string, seconds: number, said: string): DistributedError {
  if (GONE.test(said)) {
    const address = PEER.exec(said)?.[1];
    const who =
      address === undefined || address.startsWith('127.') ? 'another process' : `a process at ${address}`;
    return new DistributedError(`${doing}: the connection to ${who} broke; it has ended`, 'gone');
  }
  if (TIMEOUT.test(said))
    return new DistributedError(`${doing}: no answer from another process within ${seconds} s`, 'timeout');
  return new DistributedError(`${doing}: ${oneLine(said)}`, 'other');
}

/** Without the places in C++ sources and the traces that libtorch adds. */
function oneLine(said: string): string {
  const first = said.split(/\nException raised from|\nC\+\+ CapturedTraceback/)[0]!;
  return first
    .replace(/\[[^\]\s]*\.(?:cc|cpp|h|hpp):\d+\]\s*/g, '')
    .replace(/\s+/g, ' ')
    .trim();
}
