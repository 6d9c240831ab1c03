/**
 * Whole numbers that depend on the sizes of an input: found from what they were in several runs, so that a graph recorded at a few
 * lengths says what to do at every length.
 *
 * A number is sought as (c + a*x + b*y) / d, where x and y are sizes, sizes rounded up to whole windows, or products of such with
 * another size. What holds in all runs, of which there are more than such a sum has unknowns, is taken.
 */

/** Sizes of a run by their names: `{ B: 2, L: 37 }`. */
export type Sample = Readonly<Record<string, number>>;

/** A size with a number added (a class token, say), rounded up to a multiple of something (1: as it is). */
export interface Factor {
  readonly name: string;
  readonly plus: number;
  readonly multipleOf: number;
}

/** (constant + sum of factor * product) / divisor, which is whole in every run. */
export interface DynamicSize {
  readonly constant: number;
  readonly terms: readonly { readonly factor: number; readonly product: readonly Factor[] }[];
  readonly divisor: number;
}

export type Size = number | DynamicSize;

/** What sizes are free, and what they may be rounded up to: all but the first, which is the batch. */
export interface FreeSizes {
  readonly samples: readonly Sample[];
  readonly multiples: readonly number[];
}

/** The size that has these values in these runs; null where none of the sought form has. */
export function sizeFrom(values: readonly number[], { samples, multiples }: FreeSizes): Size | null {
  const first = values[0]!;
  if (values.every((value) => value === first)) return first;
  const candidates = productsOf(Object.keys(samples[0]!), multiples);
  for (const x of candidates) {
    const found = sumThrough(values, samples, [x]);
    if (found !== null) return found;
  }
  for (const [i, x] of candidates.entries())
    for (const y of candidates.slice(i + 1)) {
      const found = sumThrough(values, samples, [x, y]);
      if (found !== null) return found;
    }
  return null;
}

/** Its value at other sizes. @throws RangeError where that is not whole */
export function sizeAt(size: Size, sample: Sample): number {
  if (typeof size === 'number') return size;
  const sum = size.terms.reduce(
    (total, { factor, product }) => total + factor * productAt(product, sample),
    size.constant,
  );
  if (sum % size.divisor !== 0)
    throw new RangeError(`${sizeText(size)} is not whole at ${JSON.stringify(sample)}`);
  return sum / size.divisor;
}

/** `L`, `ceil(L/8)*8 - L`, … */
export function sizeText(size: Size): string {
  if (typeof size === 'number') return String(size);
  const terms = size.terms.map(({ factor, product }) =>
    factor === 1 ? productText(product) : `${factor}*${productText(product)}`,
  );
  const sum = [...terms, ...(size.constant === 0 ? [] : [String(size.constant)])].join(' + ');
  return size.divisor === 1 ? sum : `(${sum})/${size.divisor}`;
}

function productText(product: readonly Factor[]): string {
  return product
    .map(({ name, plus, multipleOf: m }) => {
      const sum = plus === 0 ? name : `(${name} + ${plus})`;
      return m === 1 ? sum : `ceil(${sum}/${m})*${m}`;
    })
    .join('*');
}

/** Whether they are equal at all sizes, however they are written. */
export function sameSize(a: Size, b: Size): boolean {
  return addSizes(a, b, -1) === 0;
}

/** a + factor * b, in lowest terms. */
export function addSizes(a: Size, b: Size, factor = 1): Size {
  const [left, right] = [dynamic(a), dynamic(b)];
  const [before, after] = [right.divisor, left.divisor * factor];
  const divisor = left.divisor * right.divisor;
  const terms = new Map<string, { factor: number; product: readonly Factor[] }>();
  const add = (by: number, ofSize: DynamicSize) => {
    for (const term of ofSize.terms) {
      const key = productText(term.product);
      terms.set(key, { ...term, factor: (terms.get(key)?.factor ?? 0) + by * term.factor });
    }
  };
  add(before, left);
  add(after, right);
  const constant = before * left.constant + after * right.constant;
  const rest = [...terms.values()].filter((term) => term.factor !== 0);
  const numbers = [constant, ...rest.map((term) => term.factor)].map(BigInt);
  const common = Number(numbers.reduce(greatestCommonDivisor, BigInt(divisor)));
  if (rest.length === 0 && divisor === common) return constant / common;
  return {
    constant: constant / common,
    terms: rest.map((term) => ({ ...term, factor: term.factor / common })),
    divisor: divisor / common,
  };
}

function dynamic(size: Size): DynamicSize {
  return typeof size === 'number' ? { constant: size, terms: [], divisor: 1 } : size;
}

/** Simple ones first: B, L, L rounded up, B*L, … */
function productsOf(names: readonly string[], multiples: readonly number[]): Factor[][] {
  const [batch, ...lengths] = names;
  const factorsOf = (name: string): Factor[] => [
    { name, plus: 0, multipleOf: 1 },
    ...[...new Set(multiples.filter((m) => m > 1))].flatMap((multipleOf) =>
      [0, -1, 1].map((plus) => ({ name, plus, multipleOf })),
    ),
  ];
  const batches = batch === undefined ? [] : [[{ name: batch, plus: 0, multipleOf: 1 }]];
  const single = lengths.flatMap((name) => factorsOf(name).map((factor) => [factor]));
  const double = single.flatMap((product) => batches.map((own) => [...own, ...product]));
  return [...batches, ...single, ...double];
}

function productAt(product: readonly Factor[], sample: Sample): number {
  return product.reduce(
    (total, { name, plus, multipleOf: m }) => total * Math.ceil(((sample[name] as number) + plus) / m) * m,
    1,
  );
}

/** The sum of multiples of these products and a constant that goes through all values; null where there is none. */
function sumThrough(
  values: readonly number[],
  samples: readonly Sample[],
  products: readonly (readonly Factor[])[],
): DynamicSize | null {
  const rows = samples.map((sample) => [1, ...products.map((product) => productAt(product, sample))]);
  const solved = solve(rows, values);
  if (solved === null) return null;
  const [[constant, ...factors], divisor] = solved;
  const terms = products.map((product, i) => ({ factor: factors[i]!, product }));
  if (terms.some(({ factor }) => factor === 0)) return null;
  return { constant: constant!, terms, divisor };
}

/** Numerators and their common denominator, in lowest terms; null where the equations contradict or do not decide. */
function solve(rows: readonly (readonly number[])[], values: readonly number[]): [number[], number] | null {
  const unknowns = rows[0]!.length;
  const table = rows.map((row, i) => [...row, values[i]!].map(BigInt));
  for (let column = 0; column < unknowns; column++) {
    const pivot = table.findIndex((row, i) => i >= column && row[column] !== 0n);
    if (pivot < 0) return null;
    [table[column], table[pivot]] = [table[pivot]!, table[column]!];
    const by = table[column]!;
    for (const [i, row] of table.entries())
      if (i !== column && row[column] !== 0n) {
        const factor = row[column]!;
        table[i] = row.map((value, j) => value * by[column]! - by[j]! * factor);
      }
  }
  if (table.slice(unknowns).some((row) => row[unknowns] !== 0n)) return null;
  const divisor = table.slice(0, unknowns).reduce((all, row, i) => leastCommonMultiple(all, row[i]!), 1n);
  const numerators = table.slice(0, unknowns).map((row, i) => (row[unknowns]! * divisor) / row[i]!);
  const common = numerators.reduce(greatestCommonDivisor, divisor);
  return [numerators.map((n) => Number(n / common)), Number(divisor / common)];
}

function greatestCommonDivisor(a: bigint, b: bigint): bigint {
  return b === 0n ? (a < 0n ? -a : a) : greatestCommonDivisor(b, a % b);
}

function leastCommonMultiple(a: bigint, b: bigint): bigint {
  const product = a * b;
  return (product < 0n ? -product : product) / greatestCommonDivisor(a, b);
}
