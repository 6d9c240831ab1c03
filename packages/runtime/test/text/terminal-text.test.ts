import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TerminalText } from '../../src/text/terminal-text.js';

function cleaned(bytes: Uint8Array, cuts: readonly number[] = []): string {
  const text = new TerminalText();
  const ends = [...new Set([...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort(
    (a, b) => a - b,
  );
  let start = 0;
  let out = '';
  for (const end of ends) {
    out += text.push(bytes.subarray(start, end));
    start = end;
  }
  return out + text.end();
}

const encode = (text: string) => new TextEncoder().encode(text);

describe('TerminalText', () => {
  it('lets valid text through, however it is cut', () => {
    const printable = fc.string({ unit: 'grapheme' }).filter((text) => !/\p{Cc}/u.test(text));
    fc.assert(
      fc.property(printable, fc.array(fc.nat()), (text, cuts) => {
        expect(cleaned(encode(text), cuts)).toBe(text.toWellFormed());
      }),
    );
  });

  it('gives the same for any bytes, however they are cut, and never a control character', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.array(fc.nat()), (bytes, cuts) => {
        const whole = cleaned(bytes);
        expect(cleaned(bytes, cuts)).toBe(whole);
        expect(whole.replace(/[\n\t]/g, '')).not.toMatch(/\p{Cc}/u);
        expect(whole.isWellFormed()).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it('holds an incomplete character back until it is complete', () => {
    const text = new TerminalText();
    const euro = encode('€');
    expect(text.push(euro.subarray(0, 2))).toBe('');
    expect(text.push(euro.subarray(2))).toBe('€');
    expect(text.end()).toBe('');
  });

  it('replaces what is broken or cut off at the end', () => {
    expect(cleaned(Uint8Array.of(0x61, 0xff, 0x62))).toBe('a\uFFFDb');
    expect(cleaned(encode('a€').subarray(0, 3))).toBe('a\uFFFD');
  });

  it('shows escape sequences instead of obeying them, of seven and of eight bits', () => {
    expect(cleaned(encode('\u001b[31mred\u007f\r\n\tx'))).toBe('␛[31mred␡␍\n\tx');
    expect(cleaned(encode('\u009b31m'))).toBe('\uFFFD31m');
  });
});
