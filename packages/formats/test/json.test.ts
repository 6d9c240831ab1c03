import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonError, JsonNumber, parseJson, plainValue } from '../src/json.js';

const objectsWithPrototype = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe('parseJson', () => {
  it('reads what JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.json(), fc.constantFrom(0, 2), (json, indent) => {
        const text = JSON.stringify(JSON.parse(json), null, indent);
        expect(objectsWithPrototype(plainValue(parseJson(text)))).toEqual(JSON.parse(text));
      }),
    );
  });

  it('refuses what JSON.parse refuses, and accepts the rest unless a key is repeated or a surrogate is alone', () => {
    const fragments = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ':',
      ',',
      '"a"',
      '"',
      '\\',
      '\\u00e9',
      '0',
      '-',
      '1.5e3',
      '.',
      'null',
      'tru',
      'true',
      ' ',
      '\n',
      '\t',
    );
    fc.assert(
      fc.property(fc.array(fragments, { maxLength: 12 }), (parts) => {
        const text = parts.join('');
        expect(accepts(() => JSON.parse(text))).toBe(accepts(() => parseJson(text), 'duplicate-key'));
      }),
      { numRuns: 3000 },
    );
  });

  it('keeps numbers as written', () => {
    expect(parseJson('9007199254740993')).toEqual(new JsonNumber('9007199254740993'));
    expect(
      ['12', '0', '1.0', '1e2', '-0', '9007199254740991', '9007199254740992'].map((text) =>
        new JsonNumber(text).wholeNumber(),
      ),
    ).toEqual([12, 0, undefined, undefined, undefined, 9007199254740991, undefined]);
  });

  it('keeps __proto__ an ordinary key', () => {
    expect(Object.keys(Object(plainValue(parseJson('{"__proto__":{"polluted":true}}'))))).toEqual([
      '__proto__',
    ]);
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
  });

  it.each([
    ['{"a":1,"a":2}', 'expected every key once, received "a" again at character 7'],
    ['[1 2]', 'expected "," or "]", received "2" at character 3'],
    ['{"a" 1}', 'expected ":", received "1" at character 5'],
    ['{a:1}', 'expected a key in double quotes, received "a" at character 1'],
    ['"a', 'expected a closing quote, received the end of the text at character 0'],
    ['"a\nb"', 'expected no control character in a string at character 2'],
    ['', 'expected a value, received the end of the text at character 0'],
  ])('%j: %s', (text, message) => {
    expect(() => parseJson(text)).toThrow(message);
  });
});

/** False where the text is refused for another reason than the one that only `parseJson` knows. */
function accepts(read: () => unknown, ownProblem?: string): boolean {
  try {
    read();
    return true;
  } catch (error) {
    return error instanceof JsonError && error.problem === ownProblem;
  }
}
