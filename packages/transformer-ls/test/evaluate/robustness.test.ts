import { manualSeed } from '@transformer-ls/torch';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type EvaluateClassifierOptions, evaluateClassifier } from '../../src/evaluate/classifier.js';
import { evaluateRobustness, passesOf } from '../../src/evaluate/robustness.js';
import {
  type Robustness,
  robustnessChart,
  robustnessPage,
  robustnessRecord,
} from '../../src/evaluate/robustness-report.js';
import { chosenPlaces, placesOf } from '../../src/lra/example-batches.js';
import { perturbationKinds, tokensInUse } from '../../src/lra/perturb.js';
import { SequenceClassifier } from '../../src/models/sequence-classifier/model.js';
import { writeJson } from '../../src/run/json.js';
import { checkXml, outsidePlaces } from '../charts/check-svg.js';
import { scratchFolder } from '../data/scratch-folder.js';
import { type SmallSetName, smallRunConfig, writeSmallSet } from '../lra/small-runs.js';

async function untrained(name: SmallSetName, attention: 'long-short' | 'linformer' = 'long-short') {
  const set = await writeSmallSet(scratchFolder(), name);
  manualSeed(4);
  const model = new SequenceClassifier(smallRunConfig(name, { attention }).model);
  model.eval();
  onTestFinished(() => {
    set.close();
    model.dispose();
  });
  const options = {
    padding: { documentLength: 60, paddedLength: null },
    batchSize: 7,
    alphabet: tokensInUse(set, 'test'),
    seed: 3,
  };
  return { set, model, places: placesOf(set, ['test']), options };
}

describe('robustness', () => {
  it.each([
    ['listops', 'long-short'],
    ['imdb', 'linformer'],
    ['aan', 'long-short'],
  ] as const)(
    'on %s with %s is the plain evaluation at strength 0, and changes with strength',
    async (name, attention) => {
      const { set, model, places, options } = await untrained(name, attention);
      const plain = await evaluateClassifier(model, set, places, options);
      const points = await evaluateRobustness(model, set, places, {
        ...options,
        kinds: perturbationKinds,
        strengths: [0, 0.5],
      });
      expect(points.map(({ kind, strength }) => [kind, strength])).toEqual([
        ['insert', 0],
        ['insert', 0.5],
        ['delete', 0],
        ['delete', 0.5],
      ]);
      for (const point of points)
        if (point.strength === 0) expect(point).toMatchObject(plain);
        else expect(point.loss).not.toBe(plain.loss);
    },
  );

  it('does not depend on the batch size', async () => {
    const { set, model, places, options } = await untrained('imdb');
    const measure = (batchSize: number) =>
      evaluateRobustness(model, set, places, { ...options, batchSize, kinds: ['insert'], strengths: [0.3] });
    const [[one], [other]] = [await measure(5), await measure(48)];
    expect(other!.accuracy).toBe(one!.accuracy);
    expect(other!.loss).toBeCloseTo(one!.loss, 5);
  });

  it('counts its passes, and tells how far it is', async () => {
    const { set, model, places, options } = await untrained('listops');
    const seen: number[] = [];
    const [kinds, strengths] = [perturbationKinds, [0.2, 0]];
    await evaluateRobustness(model, set, places, {
      ...{ ...options, kinds, strengths },
      onProgress: (done) => seen.push(done),
    });
    expect(passesOf(kinds, strengths)).toBe(3);
    expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    expect(seen.at(-1)).toBe(3 * places.length);
  });

  it('stops when it is asked to', async () => {
    const { set, model, places, options } = await untrained('listops');
    const controller = new AbortController();
    const stopped: EvaluateClassifierOptions = { ...options, signal: controller.signal };
    const work = evaluateRobustness(model, set, places, {
      ...{ ...options, ...stopped, kinds: perturbationKinds, strengths: [0.1] },
      onProgress: () => controller.abort(),
    });
    await expect(work).rejects.toThrow(/abort/);
  });
});

describe('chosen examples', () => {
  it('are of all labels, each once, the same for the same seed, and all in their order where no number is given', async () => {
    const { set } = await untrained('imdb');
    const chosen = (count: number | undefined, seed = 1) => chosenPlaces(set, 'test', { count, seed });
    expect(chosen(undefined)).toEqual(placesOf(set, ['test']));
    expect(chosen(1000)).toEqual(placesOf(set, ['test']));
    const some = chosen(10).map(({ index }) => index);
    expect(new Set(some).size).toBe(10);
    expect(some).not.toEqual(Array.from({ length: 10 }, (_, i) => i));
    expect(chosen(10)).toEqual(chosen(10));
    expect(chosen(10, 2)).not.toEqual(chosen(10));
  });
});

describe('the report', () => {
  const model = { mode: 'consistent', parameters: 12_345, step: 7 } as const;
  const points = perturbationKinds.flatMap((kind) =>
    [0, 0.1].map((strength) => ({ kind, strength, accuracy: 0.75 - strength, loss: 0.5, examples: 200 })),
  );
  const robustness: Robustness = {
    data: { name: 'imdb', split: 'test', examples: 200, classes: 2, sha256: 'a'.repeat(64), note: 'A note.' },
    kinds: perturbationKinds,
    strengths: [0, 0.1],
    alphabet: 90,
    seed: 0,
    runs: [
      { model: { ...model, path: 'runs/a', attention: 'long-short' }, points },
      { model: { ...model, path: 'runs/b', attention: 'linformer' }, points },
      { model: { ...model, path: 'runs/c|d<&>', attention: 'linformer' }, points },
    ],
  };

  it('has a table for each kind, names mechanisms, and adds the path where two have the same', () => {
    const page = robustnessPage(robustness);
    expect(page).toContain('| share of tokens | long-short | linformer (runs/b) | linformer (runs/c d<&>) |');
    expect(page).toContain('## Tokens inserted');
    expect(page).toMatch(/\| 10 % +\| +65 % \| +65 % \| +65 % \|/);
    expect(page).toContain('200 examples of the test part; chance is 50 %');
    expect(page).toContain('at most 3.37 %'); // sqrt(0.65 * 0.35 / 200)
    const widths = page
      .split('\n')
      .flatMap((line) => (line.startsWith('| ') ? [line.split('|').length] : []));
    expect(new Set(widths.slice(0, 8))).toEqual(new Set([6]));
  });

  it('survives JSON, with a loss that is no number as null', () => {
    const broken = robustness.runs.map((run) => ({
      ...run,
      points: run.points.map((point) => ({ ...point, loss: Number.NaN })),
    }));
    const text = writeJson(robustnessRecord({ ...robustness, runs: broken }, new Date(0)));
    expect(JSON.parse(text)).toMatchObject({
      insertedTokens: 90,
      runs: [
        { model: { attention: 'long-short' }, points: [{ loss: null, accuracy: 0.75 }, {}, {}, {}] },
        {},
        {},
      ],
    });
  });

  it('draws a panel for each kind on one scale, with chance', () => {
    const svg = robustnessChart(robustness);
    checkXml(svg);
    expect(outsidePlaces(svg)).toEqual([]);
    expect(svg.match(/<polyline/g)).toHaveLength(6);
    expect(svg.match(/>chance</g)).toHaveLength(2);
    const [left, right] = svg.split('<svg ').slice(2);
    const heights = (panel: string) =>
      [...panel.matchAll(/text-anchor="end">([^<]*)</g)].map(([, label]) => label);
    expect(heights(left!)).toEqual(heights(right!));
    expect(heights(left!).length).toBeGreaterThan(2);
  });
});
