import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StopScanner } from '../../src/text/stop.js';

function scan(text: string, stops: string[]): { text: string; stopped: boolean } {
  const scanner = new StopScanner(stops);
  const out: number[] = [];
  for (const byte of new TextEncoder().encode(text)) {
    const { bytes, stopped } = scanner.push(Uint8Array.of(byte));
    out.push(...bytes);
    if (stopped) return { text: new TextDecoder().decode(Uint8Array.from(out)), stopped };
  }
  out.push(...scanner.end());
  return { text: new TextDecoder().decode(Uint8Array.from(out)), stopped: false };
}

describe('StopScanner', () => {
  it('ends where the first stop text is completed, and lets all else through', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'é') });
    fc.assert(
      fc.property(letters, fc.array(letters, { maxLength: 3 }), (text, stops) => {
        const ends = stops
          .filter((stop) => stop !== '' && text.includes(stop))
          .map((stop) => ({ stop, end: text.indexOf(stop) + stop.length }))
          .sort((a, b) => a.end - b.end);
        const { text: out, stopped } = scan(text, stops);
        expect(stopped).toBe(ends.length > 0);
        if (!stopped) expect(out).toBe(text);
        else {
          const first = ends
            .filter(({ end }) => end === ends[0]!.end)
            .map(({ stop, end }) => end - stop.length);
          expect(first.map((end) => text.slice(0, end))).toContain(out);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('lets nothing of a stop text out before it knows', () => {
    const scanner = new StopScanner(['\n\n']);
    expect(scanner.push(Uint8Array.of(97, 10)).bytes).toEqual(Uint8Array.of(97));
    expect(scanner.push(Uint8Array.of(98)).bytes).toEqual(Uint8Array.of(10, 98));
    expect(scanner.push(Uint8Array.of(10, 10))).toEqual({ bytes: new Uint8Array(0), stopped: true });
  });
});
