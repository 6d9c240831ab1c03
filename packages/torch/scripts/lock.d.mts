/** Runs `work` while holding the lock file; waits for a live holder, takes over from a dead one. */
export function withLock<T>(path: string, log: (line: string) => void, work: () => Promise<T>): Promise<T>;
