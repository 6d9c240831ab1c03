/** Choosing the next token from logits: pure arithmetic in double precision, with a generator of its own. */

export interface SamplerOptions {
  /** 0 takes the likeliest token always; 1 (default) follows the model's probabilities; more is wilder. */
  readonly temperature?: number | undefined;
  /** Only the k likeliest tokens are drawn from. Default: all. */
  readonly topK?: number | undefined;
  /** Of those, only the fewest whose probabilities (scaled to sum to 1) reach p. Default 1: all. */
  readonly topP?: number | undefined;
  /** A whole number from 0 to 2^53 - 1; equal seeds give equal draws. Default 0. */
  readonly seed?: number | undefined;
}

export interface Candidate {
  readonly id: number;
  readonly probability: number;
}

export interface SamplerSettings {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
}

/** A setting, or a model's output, that nothing can be drawn from; the message is one line. */
export class GenerationError extends Error {
  override readonly name = 'GenerationError';
}

export class Sampler {
  private readonly settings: SamplerSettings;
  private readonly random: RandomNumbers;

  /** @throws GenerationError naming the setting that is out of range */
  constructor({ temperature = 1, topK = Number.POSITIVE_INFINITY, topP = 1, seed = 0 }: SamplerOptions = {}) {
    check(
      temperature >= 0 && temperature < Number.POSITIVE_INFINITY,
      'temperature',
      'at least 0',
      temperature,
    );
    check(topK >= 1, 'topK', 'at least 1', topK);
    check(topP > 0 && topP <= 1, 'topP', 'above 0 and at most 1', topP);
    check(Number.isSafeInteger(seed) && seed >= 0, 'seed', 'a whole number of at least 0', seed);
    this.settings = { temperature, topK, topP };
    this.random = new RandomNumbers(seed);
  }

  /** The index of one logit. Ties go to the lower index. @throws GenerationError where no logit is a finite number */
  sample(logits: Float32Array): number {
    const likeliest = indexOfLargest(logits);
    if (this.settings.temperature === 0) return likeliest;
    const candidates = candidatesOf(logits, logits[likeliest]!, this.settings);
    const total = candidates.reduce((sum, { probability }) => sum + probability, 0);
    let rest = this.random.next() * total;
    for (const { id, probability } of candidates) {
      rest -= probability;
      if (rest < 0) return id;
    }
    return candidates.at(-1)!.id;
  }
}

/** What may be drawn, the likeliest first, with probabilities in proportion. */
export function candidatesOf(
  logits: Float32Array,
  largest: number,
  { temperature, topK, topP }: SamplerSettings,
): Candidate[] {
  const all = Array.from(logits, (logit, id) => ({
    id,
    probability: Math.exp((logit - largest) / temperature),
  }));
  const possible = all.filter(({ probability }) => probability > 0);
  if (topK >= possible.length && topP === 1) return possible;
  // Sorting is stable: of equal probabilities the lower id comes first.
  const first = possible.sort((a, b) => b.probability - a.probability).slice(0, topK);
  if (topP === 1) return first;
  const wanted = topP * first.reduce((sum, { probability }) => sum + probability, 0);
  let reached = 0;
  const end = first.findIndex(({ probability }) => {
    reached += probability;
    return reached >= wanted;
  });
  return end < 0 ? first : first.slice(0, end + 1);
}

function indexOfLargest(logits: Float32Array): number {
  let best = -1;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (Number.isNaN(logit) || logit === Number.POSITIVE_INFINITY)
      throw new GenerationError(
        `the model gave the logit ${logit} for token ${id}: its weights are not usable`,
      );
    if (best < 0 || logit > logits[best]!) best = id;
  }
  if (best < 0 || logits[best] === Number.NEGATIVE_INFINITY)
    throw new GenerationError(`the model gave no finite logit among ${logits.length}`);
  return best;
}

function check(holds: boolean, name: string, expected: string, received: number): void {
  if (!holds) throw new GenerationError(`${name}: expected ${expected}, received ${received}`);
}

/** sfc32 (Chris Doty-Humphrey's small fast counting generator): 128 bits of state, passes PractRand. */
class RandomNumbers {
  private readonly state: Uint32Array;

  constructor(seed: number) {
    this.state = Uint32Array.of(seed, Math.floor(seed / 2 ** 32), 0x9e3779b9, 1);
    for (let i = 0; i < 16; i++) this.bits();
  }

  /** Uniform in [0, 1) with 53 bits. */
  next(): number {
    return ((this.bits() >>> 5) * 2 ** 26 + (this.bits() >>> 6)) / 2 ** 53;
  }

  private bits(): number {
    const { state } = this;
    const [a, b, c, counter] = state as unknown as [number, number, number, number];
    const result = (a + b + counter) >>> 0;
    state[3] = counter + 1;
    state[0] = b ^ (b >>> 9);
    state[1] = c + (c << 3);
    state[2] = ((c << 21) | (c >>> 11)) + result;
    return result;
  }
}
