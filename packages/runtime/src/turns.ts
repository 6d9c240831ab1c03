/** Work that must not overlap: an engine runs one graph of a session at a time. */
export class Turns {
  private last: Promise<unknown> = Promise.resolve();

  /** Runs when all that came before is done, whether or not it failed. */
  take<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.last.then(work, work);
    this.last = mine.catch(() => undefined);
    return mine;
  }
}
