/** A sample of a sequence whose length is not known before its end. */

/** Keeps every n-th item, evenly, and the last; n doubles whenever there are too many, or they weigh too much. Holds at most `most` + 1 items. */
export class Thinned<T> {
  private kept: T[] = [];
  private every = 1;
  private seen = 0;
  private newest: T | undefined;
  private weight = 0;

  constructor(
    private readonly most: number,
    private readonly heaviest: number,
    private readonly weightOf: (item: T) => number,
  ) {}

  add(item: T): void {
    const isKept = this.seen % this.every === 0;
    this.seen += 1;
    this.newest = isKept ? undefined : item;
    if (isKept) this.keep(item);
  }

  get items(): readonly T[] {
    return this.newest === undefined ? this.kept : [...this.kept, this.newest];
  }

  private keep(item: T): void {
    this.kept.push(item);
    this.weight += this.weightOf(item);
    while (this.kept.length > this.most || (this.weight > this.heaviest && this.kept.length > 1)) {
      this.every *= 2;
      // The item kept last may fall out: then it is the newest.
      const isEven = this.kept.length % 2 === 0;
      if (isEven) this.newest = item;
      this.kept = this.kept.filter((_, index) => index % 2 === 0);
      this.weight = this.kept.reduce((sum, each) => sum + this.weightOf(each), 0);
    }
  }
}
