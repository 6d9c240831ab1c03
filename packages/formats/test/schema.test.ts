import fc from 'fast-check';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { ConfigError, type Infer, parseConfig, parseConfigText, schema } from '../src/index.js';

const { boolean, field, integer, nullable, number, object, oneOf, text } = schema;

const pairSchema = object({ first: field('A.', number()), second: field('B.', nullable(text()), null) });
const example = object(
  {
    size: field('A size.', integer({ min: 1, max: 10 })),
    rate: field('A rate.', number({ above: 0, below: 1 }), 0.5),
    mode: field('A mode.', oneOf('fast', 'exact'), 'exact'),
    verbose: field('A switch.', boolean(), false),
    pair: field('A pair.', nullable(pairSchema), null),
  },
  ({ size, rate }, report) => {
    if (size * rate > 5) report('rate', `expected at most ${5 / size}, received ${rate}`);
  },
);

const messageOf = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return 'accepted';
};
const message = (value: unknown) => messageOf(() => parseConfig(example, value, 'example'));

describe('parseConfig', () => {
  it('fills in defaults and leaves its argument alone', () => {
    const given = Object.freeze({ size: 2 });
    expect(parseConfig(example, given)).toEqual({
      size: 2,
      rate: 0.5,
      mode: 'exact',
      verbose: false,
      pair: null,
    });
  });

  it('gives the static type of the schema', () => {
    expectTypeOf<Infer<typeof example>>().toEqualTypeOf<{
      size: number;
      rate: number;
      mode: 'fast' | 'exact';
      verbose: boolean;
      pair: { first: number; second: string | null } | null;
    }>();
  });

  it.each<[unknown, string]>([
    [{}, 'example.size: expected a whole number at least 1 and at most 10, received nothing'],
    [{ size: 2.5 }, 'example.size: expected a whole number at least 1 and at most 10, received 2.5'],
    [{ size: 11 }, 'example.size: expected a whole number at least 1 and at most 10, received 11'],
    [{ size: '2' }, 'example.size: expected a whole number at least 1 and at most 10, received "2"'],
    [{ size: 2, rate: 0 }, 'example.rate: expected a number above 0 and below 1, received 0'],
    [{ size: 2, rate: Number.NaN }, 'example.rate: expected a number above 0 and below 1, received NaN'],
    [{ size: 2, mode: 'Fast' }, 'example.mode: expected fast or exact, received "Fast", did you mean fast?'],
    [{ size: 2, mode: null }, 'example.mode: expected fast or exact, received null'],
    [{ size: 2, verbose: 'yes' }, 'example.verbose: expected true or false, received "yes"'],
    [
      { size: 2, pair: { first: 1, second: '' } },
      'example.pair.second: expected a text that is not empty, received ""',
    ],
    [{ size: 2, pair: [] }, 'example.pair: expected an object, received an array of 0'],
    [{ size: 2, siez: 3 }, 'example: unknown key "siez", did you mean size?'],
    [
      { size: 2, colour: 3 },
      'example: unknown key "colour", expected one of size, rate, mode, verbose, pair',
    ],
    [{ size: 10, rate: 0.9 }, 'example.rate: expected at most 0.5, received 0.9'],
    [[], 'example: expected an object, received an array of 0'],
    [null, 'example: expected an object, received null'],
    [undefined, 'example: expected an object, received nothing'],
    [() => 1, 'example: expected an object, received a function'],
    ['x'.repeat(100), `example: expected an object, received "${'x'.repeat(60)}..."`],
  ])('%j', (value, expected) => {
    expect(message(value)).toBe(expected);
  });

  it('reports all problems in one line', () => {
    expect(message({ Size: 1, rate: 2, mode: 'quick' })).toBe(
      'example: unknown key "Size", did you mean size?; ' +
        'example.size: expected a whole number at least 1 and at most 10, received nothing; ' +
        'example.rate: expected a number above 0 and below 1, received 2; ' +
        'example.mode: expected fast or exact, received "quick"',
    );
  });

  it('shows at most 50 of them', () => {
    const many = Object.fromEntries(Array.from({ length: 70 }, (_, index) => [`key${index}`, 0]));
    expect(message({ size: 1, ...many }).split('; ')).toHaveLength(51);
    expect(message({ size: 1, ...many })).toMatch(/; and 20 more$/);
  });

  it('takes keys of Object.prototype neither as known nor as given', () => {
    const value: unknown = JSON.parse('{"__proto__":{"size":3},"constructor":1}');
    expect(message(value)).toMatch(
      /unknown key "__proto__".*unknown key "constructor".*size: .*received nothing/,
    );
  });

  it('accepts or refuses any value at all, and what it accepts is stable', () => {
    const likely = fc.record(
      {
        size: fc.oneof(fc.integer({ min: 1, max: 10 }), fc.anything()),
        rate: fc.oneof(fc.double({ min: 0.1, max: 0.5 }), fc.anything()),
        pair: fc.oneof(fc.record({ first: fc.double() }), fc.anything()),
        extra: fc.anything(),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.oneof(likely, fc.anything()), (value) => {
        const outcome = message(value);
        expect(outcome).not.toContain('\n');
        if (outcome !== 'accepted') return;
        const config = parseConfig(example, value);
        expect(parseConfig(example, config)).toEqual(config);
      }),
    );
  });
});

describe('parseConfigText', () => {
  it.each([
    ['{"size":1,"size":2}', 'run.json: expected every key once, received "size" again at character 10'],
    ['{"size":1,}', 'run.json: expected a key in double quotes, received "}" at character 10'],
    ['', 'run.json: expected a value, received the end of the text at character 0'],
    ['{"size":1e999}', 'run.json.size: expected a whole number at least 1 and at most 10, received Infinity'],
  ])('%s', (json, expected) => {
    expect(messageOf(() => parseConfigText(example, json, 'run.json'))).toBe(expected);
  });
});
