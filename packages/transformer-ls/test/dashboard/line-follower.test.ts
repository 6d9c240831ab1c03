import { appendFileSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LineFollower, LONGEST_LINE } from '../../src/dashboard/line-follower.js';
import { Thinned } from '../../src/dashboard/thinned.js';
import { scratchFolder } from '../data/scratch-folder.js';

/** What a follower gives out when it reads up to `end`. */
async function read(follower: LineFollower, path: string, end: number): Promise<(string | undefined)[]> {
  const file = await open(path);
  const lines: (string | undefined)[] = [];
  try {
    for await (const piece of follower.read(file, end)) lines.push(...piece.map((line) => line?.toString()));
  } finally {
    await file.close();
  }
  return lines;
}

describe('line follower', () => {
  it('gives out every complete line once, wherever the readings end', async () => {
    const path = join(scratchFolder(), 'lines');
    const line = fc.string({ maxLength: 20 }).map((text) => text.replace(/[^\x20-\x7e]/g, '.'));
    await fc.assert(
      fc.asyncProperty(fc.array(line), line, fc.array(fc.nat({ max: 50 })), async (lines, rest, stops) => {
        const text = lines.map((one) => `${one}\n`).join('') + rest;
        writeFileSync(path, text);
        const follower = LineFollower.fromStart();
        const seen: (string | undefined)[] = [];
        let end = 0;
        for (const stop of [...stops, text.length]) {
          end = Math.min(text.length, Math.max(end, end + stop));
          seen.push(...(await read(follower, path, end)));
          expect(text.slice(0, follower.offset).split('\n').length - 1).toBe(seen.length);
        }
        seen.push(...(await read(follower, path, text.length)));
        expect(seen).toEqual(lines);
        expect(follower.lines).toBe(lines.length);
        expect(follower.offset).toBe(text.length - rest.length);
      }),
    );
  });

  it('begins with the first line at or behind an offset', async () => {
    const path = join(scratchFolder(), 'lines');
    writeFileSync(path, 'one\ntwo\nthree\n');
    const from = (offset: number) => read(LineFollower.from(offset), path, 14);
    expect(await from(0)).toEqual(['one', 'two', 'three']);
    expect(await from(1)).toEqual([undefined, 'two', 'three']);
    expect(await from(4)).toEqual([undefined, 'two', 'three']);
    expect(await from(5)).toEqual([undefined, 'three']);
    expect(await from(14)).toEqual([undefined]);
  });

  it('passes over a line that is too long without keeping it', async () => {
    const path = join(scratchFolder(), 'lines');
    writeFileSync(path, `a\n${'x'.repeat(20 * LONGEST_LINE)}`);
    const follower = LineFollower.fromStart();
    const size = 2 + 20 * LONGEST_LINE;
    expect(await read(follower, path, size)).toEqual(['a']);
    expect(follower.offset).toBe(size);
    appendFileSync(path, 'x\nb\n');
    expect(await read(follower, path, size + 4)).toEqual([undefined, 'b']);
    writeFileSync(path, `${'x'.repeat(LONGEST_LINE)}\n${'y'.repeat(LONGEST_LINE + 1)}\nz\n`);
    const [first, ...others] = await read(LineFollower.fromStart(), path, 2 * LONGEST_LINE + 5);
    expect(first?.length).toBe(LONGEST_LINE);
    expect(others).toEqual([undefined, 'z']);
  });
});

describe('thinning', () => {
  it('keeps an even sample with the first and the last, whatever the length', () => {
    fc.assert(
      fc.property(fc.nat({ max: 3000 }), fc.integer({ min: 2, max: 40 }), (count, most) => {
        const sample = new Thinned<number>(most, Number.POSITIVE_INFINITY, () => 1);
        for (let i = 0; i < count; i++) sample.add(i);
        const { items } = sample;
        expect(items.length).toBeLessThanOrEqual(most + 1);
        if (count === 0) return;
        expect(items[0]).toBe(0);
        expect(items.at(-1)).toBe(count - 1);
        if (count <= most) expect(items).toHaveLength(count);
        const gaps = items.slice(1).map((item, i) => item - items[i]!);
        expect(new Set(gaps.slice(0, -1)).size).toBeLessThanOrEqual(1);
        expect(items.length).toBeGreaterThanOrEqual(Math.min(count, Math.floor(most / 2)));
      }),
    );
  });

  it('keeps what weighs no more than it may, with the first and the last', () => {
    const weights = fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 500 });
    fc.assert(
      fc.property(weights, fc.integer({ min: 100, max: 2000 }), (items, heaviest) => {
        const sample = new Thinned<{ weight: number }>(1000, heaviest, ({ weight }) => weight);
        const all = items.map((weight) => ({ weight }));
        for (const item of all) sample.add(item);
        const total = sample.items.reduce((sum, { weight }) => sum + weight, 0);
        // The last may come on top.
        expect(total).toBeLessThanOrEqual(heaviest + 100);
        expect(sample.items[0]).toBe(all[0]);
        expect(sample.items.at(-1)).toBe(all.at(-1));
        expect(new Set(sample.items).size).toBe(sample.items.length);
      }),
    );
  });
});
