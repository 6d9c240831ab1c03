/**
 * The classifiers of the published Long Range Arena scripts (spec 5.1), and for the three tasks that they leave out the same
 * model with the length, classes and dropout that the harness they are built on uses there (mlpen/Nystromformer).
 */
import { type ClassifierConfig, classifierSchema, parseConfig } from '@transformer-ls/formats';
import { unknownName } from '../language-model/presets.js';

/** What a preset settles; the rest is common to all. */
interface Size {
  readonly inputs: 'one' | 'two';
  readonly classes: number;
  readonly maxLength: number;
  readonly windowSize: number;
  readonly projectionRank: number;
  readonly dropout: number;
}

const listOps = { inputs: 'one', classes: 10, maxLength: 2048, dropout: 0 } as const;
const text = { inputs: 'one', classes: 2, maxLength: 4096, dropout: 0 } as const;
const image = { inputs: 'one', classes: 10, maxLength: 1024, dropout: 0.1 } as const;
const paths = { inputs: 'one', classes: 2, dropout: 0.1 } as const;
const retrieval = { inputs: 'two', classes: 2, maxLength: 4096, dropout: 0.1 } as const;

const sizes = {
  'lra-listops': { ...listOps, windowSize: 8, projectionRank: 32 },
  'lra-listops-best': { ...listOps, windowSize: 16, projectionRank: 2 },
  'lra-text': { ...text, windowSize: 8, projectionRank: 32 },
  'lra-text-best': { ...text, windowSize: 1, projectionRank: 1 },
  'lra-retrieval': { ...retrieval, windowSize: 8, projectionRank: 32 },
  'lra-retrieval-best': { ...retrieval, windowSize: 1, projectionRank: 254 },
  'lra-image': { ...image, windowSize: 8, projectionRank: 32 },
  'lra-pathfinder': { ...paths, maxLength: 32 ** 2, windowSize: 8, projectionRank: 32 },
  'lra-path-x': { ...paths, maxLength: 128 ** 2, windowSize: 8, projectionRank: 32 },
} satisfies Record<string, Size>;

export type ClassifierPresetName = keyof typeof sizes;

export const classifierPresetNames = Object.keys(sizes) as readonly ClassifierPresetName[];

/**
 * The complete configuration of a preset, in consistent mode where none is given.
 *
 * Throws ConfigError for a name that does not exist, with the nearest one.
 */
export function classifierPreset(
  name: string,
  mode: ClassifierConfig['mode'] = 'consistent',
): ClassifierConfig {
  const known = classifierPresetNames.find((one) => one === name);
  if (known === undefined) throw unknownName('classifier', name, classifierPresetNames);
  const { windowSize, projectionRank, dropout, ...size } = sizes[known];
  return parseConfig(
    classifierSchema,
    {
      kind: 'sequence-classifier',
      mode,
      ...size,
      vocabularySize: 512,
      layers: 2,
      modelDim: 64,
      heads: 2,
      innerDim: 128,
      attention: { name: 'long-short', windowSize, projectionRank },
      pooling: 'class-token-last-layer',
      dropout,
      attentionDropout: dropout,
    },
    'model',
  );
}
