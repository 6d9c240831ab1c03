import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  DEEPEST_PICKLE_MARKS,
  inertGlobal,
  MOST_PICKLE_MEMO,
  NumpyArray,
  numpyGlobals,
  PickleDict,
  PickleError,
  type PickleHandlers,
  PickleObject,
  readPickle,
} from '../src/index.js';
import { bytesOfBase64, pythonPickles } from './pickle-cases.js';

/** Bytes by characters: `'\x80\x02N.'`. */
const raw = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
const read = (text: string, handlers?: PickleHandlers) => readPickle(raw(text), handlers).value;
const inert: PickleHandlers = { findGlobal: inertGlobal };
const codeOf = (action: () => unknown) => {
  try {
    action();
  } catch (error) {
    if (error instanceof PickleError) return error.code;
    throw error;
  }
  return 'no error';
};

describe('arrays that Python wrote', () => {
  it.each(pythonPickles)('%s', (_, base64) => {
    const bytes = bytesOfBase64(base64);
    const { value, bytesRead } = readPickle(bytes, { findGlobal: numpyGlobals() });
    expect(bytesRead).toBe(bytes.length);
    if (!(value instanceof PickleDict)) throw new Error('expected a dict');
    expect(value.get('labels')).toEqual([6, 9]);
    expect(value.get('filenames')).toEqual([raw('one.png')]);
    const data = value.get('data');
    if (!(data instanceof NumpyArray)) throw new Error('expected an array');
    expect(data.shape).toEqual([2, 6]);
    expect(data.dtype?.text).toBe('|u1');
    expect([...data.data]).toEqual(Array.from({ length: 12 }, (_, i) => 20 * i));
  });

  it.each(pythonPickles)('%s: refused without their globals', (_, base64) => {
    expect(codeOf(() => readPickle(bytesOfBase64(base64)))).toBe('forbidden-global');
  });

  it.each([
    [
      'too few bytes',
      '(K\x01K\x02\x85cnumpy\ndtype\n(U\x02u1tR\x89U\x01ztb.',
      /expected 2 bytes of elements, received 1/,
    ],
    [
      'a shape that overflows',
      '(K\x01(J\xff\xff\xff\x7fJ\xff\xff\xff\x7fJ\xff\xff\xff\x7ftcnumpy\ndtype\n(U\x02f8tR\x89U\x01ztb.',
      /bytes of elements, received 1/,
    ],
    [
      'a negative size',
      '(K\x01J\xff\xff\xff\xff\x85cnumpy\ndtype\n(U\x02u1tR\x89U\x00tb.',
      /expected a shape/,
    ],
    [
      'objects instead of numbers',
      '(K\x01K\x02\x85cnumpy\ndtype\n(U\x02O8tR\x89U\x00tb.',
      /expected a type of numbers/,
    ],
    ['no state', 'Nb.', /its state, received None/],
  ])('an array with %s is refused', (_, state, message) => {
    const array = 'cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR';
    expect(() => read(array + state, { findGlobal: numpyGlobals() })).toThrow(message);
  });

  it('a text that is converted to bytes again and again is refused before the memory is full', () => {
    const text = 'x'.repeat(2 ** 20);
    const size = '\x00\x00\x10\x00';
    const again = '0h\x00h\x01h\x02\x86R'.repeat(300);
    const file = `c_codecs\nencode\nq\x000X${size}${text}q\x010X\x06\x00\x00\x00latin1q\x02${again}.`;
    expect(codeOf(() => read(file, { findGlobal: numpyGlobals() }))).toBe('too-large');
  });
});

describe('data', () => {
  it.each<[string, string, unknown]>([
    ['None', 'N.', null],
    [
      'booleans',
      '\x88\x89\x86I01\nI00\n\x86\x86.',
      [
        [true, false],
        [true, false],
      ],
    ],
    ['small numbers', 'K\xffM\xff\xff\x86J\xff\xff\xff\xff\x85\x86.', [[255, 65535], [-1]]],
    ['decimal numbers', 'I-12\nL99999999999999999999L\n\x86.', [-12, 99999999999999999999n]],
    ['long numbers', '\x8a\x00\x8a\x02\x00\x80\x86\x8b\x01\x00\x00\x00\x7f\x86.', [[0, -32768], 127]],
    ['a float', 'G\x3f\xf8\x00\x00\x00\x00\x00\x00.', 1.5],
    ['text', 'X\x02\x00\x00\x00\xc3\xa9.', 'é'],
    ['bytes', 'C\x02ab.', raw('ab')],
    ['nested lists', '](K\x01]K\x02ae.', [1, [2]]],
    ['a tuple of three', 'K\x01K\x02K\x03\x87.', [1, 2, 3]],
    ['what a mark holds', '(K\x01K\x02l.', [1, 2]],
    ['a set', '\x8f(K\x01K\x01\x90.', new Set([1])],
    ['the memo', ']q\x00h\x00\x86.', [[], []]],
    ['dropped values', 'K\x01K\x020(K\x051(0.', 1],
  ])('%s', (_, file, value) => {
    expect(read(file)).toEqual(value);
  });

  it('a dict finds text by bytes and bytes by text', () => {
    const dict = read('}(U\x01aK\x01X\x01\x00\x00\x00bK\x02u.');
    if (!(dict instanceof PickleDict)) throw new Error('expected a dict');
    expect([dict.get('a'), dict.get(raw('b')), dict.get('c'), dict.size]).toEqual([1, 2, undefined, 2]);
  });

  it('several pickles may follow each other', () => {
    expect(readPickle(raw('K\x07.K\x08.'))).toEqual({ value: 7, bytesRead: 3 });
  });

  it('whole numbers of any size are those that Python means', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 200n), max: 2n ** 200n }), (number) => {
        const bytes = Array.from({ length: 26 }, (_, i) =>
          Number(BigInt.asUintN(8, number >> BigInt(8 * i))),
        );
        const file = Uint8Array.of(0x8a, bytes.length, ...bytes, 46);
        expect(BigInt(readPickle(file).value as bigint)).toBe(number);
      }),
    );
  });

  it('a list that holds itself is read', () => {
    const list = read(']q\x00h\x00a.');
    if (!Array.isArray(list)) throw new Error('expected a list');
    expect(list[0]).toBe(list);
  });
});

describe('hostile files', () => {
  const system = 'cposix\nsystem\n(U\x09rm -rf ~/tR.';

  it('a command is refused by the name of its function', () => {
    expect(() => read(system)).toThrow('the global "posix.system" is not allowed');
    expect(codeOf(() => read('\x8c\x02os\x8c\x06system\x93.'))).toBe('forbidden-global');
  });

  it('a command becomes an object without meaning where the caller asks for that', () => {
    const value = read(system, inert);
    if (!(value instanceof PickleObject)) throw new Error('expected an object');
    expect(String(value.type)).toBe('"posix.system"');
    expect(value.args).toEqual([raw('rm -rf ~/')]);
  });

  it('a call of what is no class or function is refused', () => {
    expect(codeOf(() => read(`cnumpy\nndarray\n)R.`, { findGlobal: numpyGlobals() }))).toBe('forbidden-call');
    expect(codeOf(() => read(`K\x01)R.`, inert))).toBe('forbidden-call');
    expect(codeOf(() => read(`ca\nb\nNR.`, inert))).toBe('wrong-type');
  });

  it('persistent ids go to the handler, or are refused', () => {
    expect(codeOf(() => read('U\x01aQ.'))).toBe('persistent-id');
    expect(read('U\x01aQ.', { ...inert, persistentId: (id) => [id, 'found'] })).toEqual([raw('a'), 'found']);
  });

  it.each([
    ['huge bytes', 'B\xff\xff\xff\xff.', 'truncated'],
    ['bytes beyond all counting', '\x8e\xff\xff\xff\xff\xff\xff\xff\xff.', 'truncated'],
    ['a huge text', '\x8d\x00\x00\x00\x00\x00\x01\x00\x00.', 'too-large'],
    ['a huge number', '\x8b\x00\x10\x00\x00.', 'too-large'],
    ['an endless line', `c${'x'.repeat(3000)}\ny\n.`, 'truncated'],
    ['marks without end', '('.repeat(DEEPEST_PICKLE_MARKS + 1), 'too-large'],
    ['a full memo', `N${'\x94'.repeat(MOST_PICKLE_MEMO + 1)}.`, 'too-large'],
    ['a full stack', '2'.repeat(2 ** 22 + 1).replace('2', 'N'), 'too-large'],
    ['a value from below the mark', 'N(\x85.', 'stack'],
    ['nothing on the stack', '.', 'stack'],
    ['no mark', 'Nt.', 'stack'],
    ['keys without values', '}(Nu.', 'stack'],
    ['an empty place of the memo', 'h\x05.', 'memo'],
    ['items for no dict', ']NNs.', 'wrong-type'],
    ['a state for no object', ']Nb.', 'wrong-type'],
    ['text that is no text', 'X\x01\x00\x00\x00\xff.', 'invalid-argument'],
    ['a number that is none', 'I0x10\n.', 'invalid-argument'],
    ['an opcode that does not exist', '\xf0.', 'unknown-opcode'],
    ['a class of old', '(iposix\nsystem\n.', 'unsupported-opcode'],
    ['a protocol to come', '\x80\x06N.', 'unsupported-opcode'],
    ['nothing', '', 'truncated'],
  ])('%s', (_, file, code) => {
    expect(codeOf(() => read(file))).toBe(code);
  });

  it('no more opcodes are run than allowed', () => {
    const pairs = new Uint8Array(2 ** 23 + 2).map((_, i) => (i % 2 === 0 ? 0x4e : 0x30));
    expect(() => readPickle(pairs)).toThrow('expected at most 8388608 opcodes');
  });

  it('lists in lists are no deeper than the reader can go', () => {
    const depth = 100_000;
    expect(Array.isArray(read(`${']'.repeat(depth)}${'a'.repeat(depth - 1)}.`))).toBe(true);
  });
});
