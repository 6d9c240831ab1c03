/** How many of something may be there at once. */
export class Places {
  private taken = 0;

  constructor(private readonly most: number) {}

  /** Gives the function that frees the place, or undefined where none is left. */
  take(): (() => void) | undefined {
    if (this.taken >= this.most) return undefined;
    this.taken += 1;
    let isFree = false;
    return () => {
      if (!isFree) this.taken -= 1;
      isFree = true;
    };
  }

  get free(): number {
    return this.most - this.taken;
  }
}
