// The cache of large blocks: it reuses, keeps its bound, gives back, and never hands out memory that is in use.
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import {
  full,
  memoryStats,
  operator,
  releaseCachedMemory,
  resetPeakMemory,
  type Tensor,
  zeros,
} from '../src/index.js';

const MiB = 2 ** 20;
const floats = (bytes: number) => [bytes / 4];

afterEach(() => releaseCachedMemory());

test('a freed block serves the next tensor of its size', () => {
  releaseCachedMemory();
  zeros(floats(32 * MiB)).dispose();
  const waiting = memoryStats().cachedBytes;
  expect(waiting).toBeGreaterThanOrEqual(32 * MiB);
  const next = zeros(floats(31 * MiB));
  expect(memoryStats().cachedBytes).toBe(0);
  next.dispose();
  expect(memoryStats().cachedBytes).toBe(waiting);
});

test('memory that was given back is no longer resident', () => {
  zeros(floats(512 * MiB)).dispose();
  const { residentBytes: before } = memoryStats();
  releaseCachedMemory();
  const { residentBytes: after, cachedBytes } = memoryStats();
  expect(cachedBytes).toBe(0);
  expect(before - after).toBeGreaterThan(400 * MiB);
});

test('what is in use and what waits stay within a sixteenth and 8 MiB of the peak, and no tensor overwrites another', () => {
  const action = fc.record({ free: fc.nat(20), kilobytes: fc.integer({ min: 1, max: 20_000 }) });
  fc.assert(
    fc.property(fc.array(action, { minLength: 5, maxLength: 40 }), (actions) => {
      releaseCachedMemory();
      resetPeakMemory();
      const held: { tensor: Tensor; value: number }[] = [];
      for (const [index, { free, kilobytes }] of actions.entries()) {
        if (free < held.length) held.splice(free, 1)[0]!.tensor.dispose();
        held.push({ tensor: full(floats(kilobytes * 1024), index), value: index });
        const { allocatedBytes, peakAllocatedBytes, cachedBytes } = memoryStats();
        expect(allocatedBytes + cachedBytes).toBeLessThanOrEqual((peakAllocatedBytes * 17) / 16 + 9 * MiB);
      }
      for (const { tensor, value } of held) {
        expect([tensor.min().item(), tensor.max().item()]).toEqual([value, value]);
        tensor.dispose();
      }
    }),
    { numRuns: 30 },
  );
});

test.each([2n ** 46n, 2n ** 61n, 2n ** 63n - 1n])(
  'a size that no machine has, %i bytes, is an error',
  (size) => {
    expect(() => operator('aten::empty.memory_format')([size] as unknown as number[], 'uint8')).toThrow(
      /memory|invalid|overflow/i,
    );
  },
);
