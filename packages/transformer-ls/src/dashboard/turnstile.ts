/** Lets so many in at once; others wait, and go in in the order in which they came. */
export class Turnstile {
  private inside = 0;
  private readonly waiting = new Set<() => void>();

  constructor(private readonly most: number) {}

  /** Calls `begin` when there is room. @returns the function that is called when it is over, whether it began or not */
  enter(begin: () => void): () => void {
    let isInside = false;
    const goIn = () => {
      isInside = true;
      this.inside += 1;
      begin();
    };
    if (this.inside < this.most) goIn();
    else this.waiting.add(goIn);
    return () => {
      this.waiting.delete(goIn);
      if (!isInside) return;
      isInside = false;
      this.inside -= 1;
      this.next();
    };
  }

  private next(): void {
    const [first] = this.waiting;
    if (first === undefined) return;
    this.waiting.delete(first);
    first();
  }
}
