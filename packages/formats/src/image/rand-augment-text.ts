/** RandAugment as one writes it down: `rand-m9-mstd0.5-inc1`, the notation of timm. */

export interface RandAugmentSettings {
  /** Strength of every operation, 0 to 10. */
  readonly magnitude: number;
  /** Standard deviation of the strength from operation to operation. */
  readonly magnitudeStd: number;
  /** Operations drawn for a picture, with repetition. */
  readonly operations: number;
  /** With which a drawn operation is applied. */
  readonly probability: number;
}

/** Operations of one picture, at most: more are a slip of the pen. */
const MOST_OPERATIONS = 32;

/** What `parseRandAugment` accepts, in words that follow "expected". */
export const RAND_AUGMENT_FORM =
  'RandAugment such as rand-m9-mstd0.5-inc1 (m: strength 0 to 10, mstd: its deviation, n: operations, p: probability, inc1)';

const part = /^(mstd|m|n|p|inc)(\d{1,6}(?:\.\d{1,6})?)$/;

/**
 * Reads the notation; undefined where it is another. Without m the strength is 10, without mstd it does not vary, n is 2 and p 0.5.
 * `inc1` is not optional: of timm's two sets of operations only the one whose effects grow with the strength is offered.
 */
export function parseRandAugment(text: string): RandAugmentSettings | undefined {
  const [name, ...parts] = text.split('-');
  if (name !== 'rand') return undefined;
  const values = new Map<string, number>();
  for (const one of parts) {
    const [, key, value] = part.exec(one) ?? [];
    if (key === undefined || values.has(key)) return undefined;
    values.set(key, Number(value));
  }
  const settings = {
    magnitude: values.get('m') ?? 10,
    magnitudeStd: values.get('mstd') ?? 0,
    operations: values.get('n') ?? 2,
    probability: values.get('p') ?? 0.5,
  };
  return values.get('inc') === 1 && isSensible(settings) ? settings : undefined;
}

function isSensible({ magnitude, operations, probability }: RandAugmentSettings): boolean {
  const whole = Number.isInteger(magnitude) && Number.isInteger(operations);
  return whole && magnitude <= 10 && operations <= MOST_OPERATIONS && probability <= 1;
}
