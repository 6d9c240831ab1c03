/**
 * Classifiers of documents as a graph: ids and mask to logits and features.
 *
 * Shape letters: B batch, L length.
 */
import type { ExportedHeat } from '@transformer-ls/formats';
import { arange, randint, type Tensor } from '@transformer-ls/torch';
import { withTilesAlwaysFilled } from '../attention/windows.js';
import type { SequenceBatch } from '../models/sequence-classifier/model.js';
import type { LoadedClassifier } from '../models/sequence-classifier/weights.js';
import { ExportError } from './error.js';
import type { Exportable } from './exportable.js';
import { watchText } from './heat.js';
import type { Sample } from './sizes.js';

export function exportableTextClassifier(loaded: LoadedClassifier): Exportable {
  const { model, config, classes, training } = loaded;
  const { name: attention, windowSize } = config.attention;
  if (attention !== 'long-short' && attention !== 'window-only' && attention !== 'projection-only')
    throw new ExportError(`attention ${attention}: expected long-short attention or one of its halves`);
  const suffixes = config.inputs === 'two' ? ['.0', '.1'] : [''];
  // As published the length decides what padding does, and has to be a multiple of the window: it stays what it was.
  const paddedTo = config.mode === 'reference' ? config.maxLength : null;
  const lengths = (sample: Sample) => suffixes.map((_, i) => paddedTo ?? sample[i === 0 ? 'L' : 'M']!);
  let heatSource: ExportedHeat = 'none';
  return {
    model,
    graphs: [
      {
        name: 'classify',
        sizes: {
          samples: samples(paddedTo, windowSize, suffixes.length, config.maxLength),
          multiples: [windowSize],
        },
        compared: comparedSamples(paddedTo, config.maxLength, windowSize, suffixes.length),
        inputs: (sample) => {
          const batches = lengths(sample).map((L) => randomBatch(sample.B!, L, config.vocabularySize));
          return Object.fromEntries(
            batches.flatMap(({ ids, mask }, i) => [
              [`ids${suffixes[i]}`, ids],
              [`mask${suffixes[i]}`, mask],
            ]),
          );
        },
        run(inputs) {
          const batches = suffixes.map(
            (suffix): SequenceBatch => ({ ids: inputs[`ids${suffix}`]!, mask: inputs[`mask${suffix}`]! }),
          );
          const {
            result: features,
            heat,
            source,
          } = withTilesAlwaysFilled(() => watchText(model, () => model.features(...batches)));
          heatSource = source;
          const named = heat.map((one, i) => [`heat${suffixes[i]}`, one] as const);
          return { logits: model.logitsOf(features), features, ...Object.fromEntries(named) };
        },
      },
    ],
    manifest: () => ({
      kind: 'text-classifier',
      model: config,
      graph: 'classify.onnx',
      heat: heatSource,
      tokens: tokensOf(training?.data.name),
      longest: training?.documentLength ?? config.maxLength,
      paddedTo,
      classes: classes.map((name) => ({ id: name, name })),
    }),
  };
}

function tokensOf(set: string | undefined): 'bytes' | 'listops' | 'listops-brackets' {
  return set === 'listops' || set === 'listops-brackets' ? set : 'bytes';
}

function samples(paddedTo: number | null, window: number, documents: number, longest: number): Sample[] {
  const batch = (i: number) => [2, 3, 2, 5, 4, 2, 3, 5][i % 8]!;
  if (paddedTo !== null) return Array.from({ length: 4 }, (_, i) => ({ B: batch(i) }));
  const lengths = sampleLengths(Math.max(1, window), longest);
  return lengths.map((L, i) => ({
    B: batch(i),
    L,
    ...(documents > 1 ? { M: lengths[(i * 5 + 3) % lengths.length]! } : {}),
  }));
}

/** Where it is recorded, at least. */
const LEAST_RUNS = 7;

/** Lengths of several windows: whole, one token less, one more, and others, so that nothing holds by chance. */
function sampleLengths(window: number, longest: number): number[] {
  const several = [2, 3, 4, 5].flatMap((windows) => [-1, 0, 1].map((more) => windows * window + more));
  const others = [3 * window + Math.floor(window / 2), 6 * window - Math.floor(window / 3)];
  const wanted = [...new Set([...several, ...others])].filter((L) => L > window && L <= longest);
  if (wanted.length >= LEAST_RUNS) return wanted;
  // What is read is less than that: as many lengths as there are, all beyond a window, or all within one.
  const all = Array.from({ length: longest }, (_, i) => i + 1);
  const found = [all.filter((L) => L > window), all.filter((L) => L > 1 && L <= window)].find(
    ({ length }) => length >= LEAST_RUNS,
  );
  if (found !== undefined) return found.slice(0, 2 * LEAST_RUNS);
  throw new ExportError(
    `expected a model that reads at least ${LEAST_RUNS} tokens more than its window of ${window}, received one that reads ${longest}`,
  );
}

function comparedSamples(
  paddedTo: number | null,
  longest: number,
  window: number,
  documents: number,
): Sample[] {
  if (paddedTo !== null) return [{ B: 1 }, { B: 3 }];
  // Below, at and above a window, and up to all that is read.
  const wanted = [
    1,
    2,
    window - 1,
    window,
    window + 1,
    3 * window + 1,
    Math.ceil(longest / 3),
    longest - 1,
    longest,
  ];
  const lengths = [...new Set(wanted)].filter((L) => L >= 1 && L <= longest);
  return lengths.map((L, i) => ({ B: 1 + (i % 3), L, ...(documents > 1 ? { M: lengths.at(-1 - i)! } : {}) }));
}

/** Rows of different lengths, the first as long as all. */
function randomBatch(B: number, L: number, vocabularySize: number): { ids: Tensor; mask: Tensor } {
  const ids = randint(1, vocabularySize, [B, L]);
  const lengths = arange(0, B)
    .mul(-Math.floor(L / 3))
    .floorDivide(Math.max(1, B))
    .add(L)
    .unsqueeze(1);
  const mask = arange(0, L).unsqueeze(0).lt(lengths);
  return { ids: ids.mul(mask.to('int64')), mask };
}
