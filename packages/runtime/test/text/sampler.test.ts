import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Sampler, type SamplerOptions } from '../../src/text/sampler.js';

/** Probabilities straight from the definition: softmax, then the k likeliest, then the fewest that reach p. */
function definition(logits: number[], { temperature = 1, topK = logits.length, topP = 1 }: SamplerOptions) {
  const largest = Math.max(...logits);
  const weights = logits.map((logit) => Math.exp((logit - largest) / temperature));
  const order = logits.map((_, id) => id).sort((a, b) => weights[b]! - weights[a]! || a - b);
  const kept = order.slice(0, topK);
  const sum = kept.reduce((total, id) => total + weights[id]!, 0);
  let count = kept.length;
  for (let n = kept.length; n >= 1; n--) {
    const reached = kept.slice(0, n).reduce((total, id) => total + weights[id]!, 0);
    if (reached >= topP * sum) count = n;
  }
  const drawn = kept.slice(0, count);
  const total = drawn.reduce((all, id) => all + weights[id]!, 0);
  return logits.map((_, id) => (drawn.includes(id) ? weights[id]! / total : 0));
}

function frequencies(logits: number[], options: SamplerOptions, draws: number): number[] {
  const sampler = new Sampler(options);
  const counts = logits.map(() => 0);
  for (let i = 0; i < draws; i++) counts[sampler.sample(Float32Array.from(logits))]! += 1;
  return counts.map((count) => count / draws);
}

const logitLists = fc.array(fc.integer({ min: -24, max: 24 }), { minLength: 1, maxLength: 12 });

describe('Sampler', () => {
  it('draws with the probabilities of the definition, and never what has none', () => {
    const settings = fc.record({
      logits: logitLists.map((list) => list.map((n) => n / 8)),
      temperature: fc.constantFrom(0.25, 0.5, 1, 2),
      topK: fc.integer({ min: 1, max: 12 }),
      topP: fc.constantFrom(0.1, 0.5, 0.9, 1),
      seed: fc.nat(),
    });
    fc.assert(
      fc.property(settings, ({ logits, ...options }) => {
        const expected = definition(logits, options);
        const draws = 4000;
        frequencies(logits, options, draws).forEach((frequency, id) => {
          const p = expected[id]!;
          if (p === 0) expect(frequency).toBe(0);
          // Six standard deviations and one draw: a false alarm is not to be expected in the life of the project.
          else expect(Math.abs(frequency - p)).toBeLessThan(6 * Math.sqrt((p * (1 - p)) / draws) + 1 / draws);
        });
      }),
      { numRuns: 60 },
    );
  });

  it('takes the likeliest, the lowest id of equals, at temperature 0', () => {
    const sampler = new Sampler({ temperature: 0 });
    expect(sampler.sample(Float32Array.of(1, 3, 3, 2))).toBe(1);
  });

  it('takes the likeliest with topK 1 or a tiny topP, whatever the temperature', () => {
    fc.assert(
      fc.property(logitLists, fc.constantFrom({ topK: 1 }, { topP: 1e-9 }), (logits, limit) => {
        const sampler = new Sampler({ ...limit, temperature: 100, seed: 1 });
        expect(sampler.sample(Float32Array.from(logits))).toBe(logits.indexOf(Math.max(...logits)));
      }),
    );
  });

  it('repeats itself with the same seed only', () => {
    const logits = new Float32Array(256);
    const draw = (seed: number) => {
      const sampler = new Sampler({ seed });
      return Array.from({ length: 32 }, () => sampler.sample(logits));
    };
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
    expect(draw(1)).not.toEqual(draw(1 + 2 ** 32));
  });

  it('passes over logits of minus infinity', () => {
    const frequency = frequencies([Number.NEGATIVE_INFINITY, 0, 0], { seed: 3 }, 1000);
    expect(frequency[0]).toBe(0);
    expect(frequency[1]).toBeGreaterThan(0.4);
  });

  it.each([
    [{ temperature: -1 }, 'temperature: expected at least 0, received -1'],
    [{ temperature: Number.NaN }, 'temperature: expected at least 0, received NaN'],
    [{ topK: 0 }, 'topK: expected at least 1, received 0'],
    [{ topP: 0 }, 'topP: expected above 0 and at most 1, received 0'],
    [{ topP: 1.5 }, 'topP: expected above 0 and at most 1, received 1.5'],
    [{ seed: -1 }, 'seed: expected a whole number of at least 0, received -1'],
  ])('refuses %o', (options, message) => {
    expect(() => new Sampler(options)).toThrow(message);
  });

  it('says so when a model gives NaN, infinity or nothing', () => {
    const sampler = new Sampler();
    expect(() => sampler.sample(Float32Array.of(0, Number.NaN))).toThrow('logit NaN for token 1');
    expect(() => sampler.sample(Float32Array.of(Number.POSITIVE_INFINITY))).toThrow('Infinity for token 0');
    expect(() => sampler.sample(Float32Array.of(Number.NEGATIVE_INFINITY))).toThrow('no finite logit');
  });
});
