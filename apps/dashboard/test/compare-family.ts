/** A model of a family in a page, beside what libtorch made of the same inputs. */
import type { Device } from '@transformer-ls/runtime';
import type { Page } from 'playwright-core';
import { expect } from 'vitest';
import type { FamilyExpectation } from './families.js';

/** Text of the same seed, probabilities within 1e-4, features within 1e-4 of the largest. */
export async function compareFamily(
  page: Page,
  { name, expected }: FamilyExpectation,
  device: Device,
): Promise<void> {
  const received = await page.evaluate(runFamily, { name, device });
  expect(received.device, name).toBe(device);
  if (expected.kind === 'language-model') return expect(received.text, name).toBe(expected.text);
  const ids = (shares: readonly { id: string }[]) => shares.map(({ id }) => id).sort();
  expect(ids(received.shares!)).toEqual(ids(expected.shares));
  for (const { id, probability } of expected.shares)
    expect(received.shares!.find((share) => share.id === id)!.probability, name).toBeCloseTo(probability, 4);
  expect(received.features!.length, name).toBe(expected.features.length);
  const largest = Math.max(...expected.features.map(Math.abs));
  received.features!.forEach((value, i) => {
    expect(Math.abs(value - expected.features[i]!), name).toBeLessThanOrEqual(1e-4 * largest);
  });
}

/** Runs in the page. */
async function runFamily({ name, device: wanted }: { name: string; device: Device }) {
  const { loadInWorker } = window.runtime;
  const model = await loadInWorker(`models/${name}`, { device: wanted });
  const { device } = model;
  try {
    if (model.kind === 'language-model') {
      let text = '';
      const stream = model.generate('The history of the world is long. '.repeat(8), {
        maxTokens: 40,
        seed: 5,
        temperature: 0.7,
      });
      for await (const piece of stream) text += piece;
      return { device, text };
    }
    if (model.kind === 'text-classifier') {
      const { classes } = await model.classifyText(
        'One of the best films I have seen in years, and then some.',
      );
      return {
        device,
        shares: classes,
        features: [...(await model.embedText('One of the best films I have seen in years, and then some.'))],
      };
    }
    const data = Uint8Array.from({ length: 3 * 40 * 36 }, (_, i) => (i * 37) % 256);
    const picture = { width: 40, height: 36, data };
    const { classes } = await model.classifyImage(picture);
    return { device, shares: classes, features: [...(await model.embedImage(picture))] };
  } finally {
    await model.dispose();
  }
}
