/** Ctrl-C as a request that work can answer. */

export interface Interrupt {
  readonly signal: AbortSignal;
  /** Gives Ctrl-C back to Node. */
  end(): void;
}

/** The first Ctrl-C (or SIGTERM) aborts the signal; a second one ends the process at once, as it always does. */
export function interruptible(): Interrupt {
  const controller = new AbortController();
  const abort = () => {
    end();
    controller.abort();
  };
  const end = () => {
    process.off('SIGINT', abort);
    process.off('SIGTERM', abort);
  };
  process.on('SIGINT', abort);
  process.on('SIGTERM', abort);
  return { signal: controller.signal, end };
}
