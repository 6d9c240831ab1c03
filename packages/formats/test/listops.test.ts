import { describe, expect, it } from 'vitest';
import {
  evaluateListOps,
  ListOpsError,
  listOpsVocabulary,
  parseListOps,
  withoutBrackets,
} from '../src/index.js';

describe('ListOps', () => {
  it.each([
    ['[MAX 4 2 ]', 4],
    ['[MIN 4 2 9 ]', 2],
    ['[SM 9 9 5 ]', 3],
    ['[MED 1 9 4 ]', 4],
    ['[MED 1 2 ]', 1],
    ['( ( ( [MAX 4 ) ( ( ( [MIN 7 ) 2 ) ] ) ) ] )', 4],
    ['7', 7],
    ['\n[MAX 4\t2\r\n]  ', 4],
  ])('%s is %i', (source, label) => {
    expect(parseListOps(source).label).toBe(label);
  });

  it.each([
    ['[MAX 4', 'expected a whole tree, received one with 1 open lists'],
    ['[MAX ]', 'expected an operator and its arguments before the ] at token 1'],
    [']', 'expected an operator and its arguments before the ] at token 0'],
    ['4 2', 'expected the end of the tree at token 1'],
    ['[AVG 4 2 ]', 'expected a digit, [MIN, [MAX, [MED, [SM or ], received "[AVG"'],
    ['', 'expected a whole tree, received one with 0 open lists'],
  ])('refuses %j', (source, message) => {
    expect(() => parseListOps(source)).toThrow(message);
    expect(() => parseListOps(source)).toThrow(ListOpsError);
  });

  it('takes a list of any length', () => {
    expect(parseListOps(`[MAX ${'1 '.repeat(300_000)}7 ]`).label).toBe(7);
    expect(parseListOps(`[MIN ${'1 '.repeat(300_000)}0 ]`).label).toBe(0);
  });

  it('shows the start of a word that is long', () => {
    expect(() => parseListOps('x'.repeat(1000))).toThrow(`received "${'x'.repeat(60)}..."`);
  });

  it('is a byte a word, in the order of the vocabulary', () => {
    const { tokens } = parseListOps('[MED 0 9 [SM 5 5 ] ]');
    expect([...tokens]).toEqual([12, 0, 9, 13, 5, 5, 14, 14]);
    expect(Array.from(tokens, (token) => listOpsVocabulary[token]).join(' ')).toBe('[MED 0 9 [SM 5 5 ] ]');
    expect([...withoutBrackets(tokens)]).toEqual([12, 0, 9, 13, 5, 5]);
    expect(evaluateListOps(tokens)).toBe(0);
  });
});
