/** Named sizes of CvT-LS, and of CvT to compare them with. What is established and what inferred: README.md beside this file. */
import { type CvtLsConfig, cvtLsSchema, parseConfig } from '@transformer-ls/formats';
import { unknownName } from '../language-model/presets.js';

/** What a preset settles; three numbers are those of the three stages. */
interface Size {
  readonly blocks: readonly [number, number, number];
  readonly heads: readonly [number, number, number];
  readonly widths: readonly [number, number, number];
  readonly attention: 'long-short' | 'full';
}

/** Widths of CvT-13 and CvT-21. */
const published = { heads: [1, 3, 6], widths: [64, 192, 384] } as const;
/** Wider first stages. */
const wide = { heads: [2, 4, 6], widths: [128, 256, 384] } as const;

const sizes = {
  'cvt-ls-13': { ...published, blocks: [1, 2, 10], attention: 'long-short' },
  'cvt-ls-17': { ...wide, blocks: [3, 4, 10], attention: 'long-short' },
  'cvt-ls-21': { ...published, blocks: [1, 4, 16], attention: 'long-short' },
  'cvt-ls-21s': { ...wide, blocks: [3, 4, 14], attention: 'long-short' },
  'cvt-13': { ...published, blocks: [1, 2, 10], attention: 'full' },
  'cvt-21': { ...published, blocks: [1, 4, 16], attention: 'full' },
} satisfies Record<string, Size>;

export type CvtLsPresetName = keyof typeof sizes;

export const cvtLsPresetNames = Object.keys(sizes) as readonly CvtLsPresetName[];

/** Segments of 7 x 7 a stage at 224 pixels, and as many slots as a segment has tokens. */
const WINDOWS = [8, 4, 2];
const RANKS = [64, 16, 4];

export interface CvtLsPresetOptions {
  /** Default consistent; there is no other. */
  readonly mode?: 'consistent' | 'reference';
  /** Default 1,000. */
  readonly classes?: number;
  /** Rows and columns of pixels. Default 224. */
  readonly imageSize?: number;
}

/**
 * The complete configuration of a preset.
 *
 * @throws ConfigError for a name that does not exist, with the nearest one; for reference mode; for images too small for three stages
 */
export function cvtLsPreset(name: string, options: CvtLsPresetOptions = {}): CvtLsConfig {
  const known = cvtLsPresetNames.find((one) => one === name);
  if (known === undefined) throw unknownName('vision model', name, cvtLsPresetNames);
  const { mode = 'consistent', classes = 1000, imageSize = 224 } = options;
  const size: Size = sizes[known];
  // As published: another activation and scale than in the public CvT that CvT-LS is built on.
  const host = size.attention === 'full' ? { activation: 'quick-gelu', scoreScale: 'model-dim' } : {};
  return parseConfig(
    cvtLsSchema,
    {
      kind: 'cvt-ls',
      mode,
      imageHeight: imageSize,
      imageWidth: imageSize,
      classes,
      stages: stagesOf(size),
      dropPath: 0.1,
      ...host,
    },
    'model',
  );
}

/** The first stage embeds with 7 x 7 kernels at every fourth pixel, the later ones with 3 x 3 at every second token. */
function stagesOf({ blocks, heads, widths, attention }: Size): Record<string, unknown>[] {
  return blocks.map((layers, i) => ({
    layers,
    modelDim: widths[i],
    heads: heads[i],
    embeddingKernel: i === 0 ? 7 : 3,
    embeddingStride: i === 0 ? 4 : 2,
    attention,
    ...(attention === 'full' ? {} : { windowSize: WINDOWS[i], projectionRank: RANKS[i] }),
  }));
}
