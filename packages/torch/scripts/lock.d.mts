/** Runs `work` while holding the lock file; waits for live holders, takes over from dead ones. */
export function withLock<T>(
  path: string,
  log: (line: string) => void,
  work: (hold: (pid: number | undefined) => void) => Promise<T>,
): Promise<T>;
