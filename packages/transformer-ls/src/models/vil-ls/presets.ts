/** Named sizes of ViL-LS: the published ones (spec 5.3), and the two smaller ones of ViL's own README with long-short attention. */
import { parseConfig, type VilLsConfig, vilLsSchema } from '@transformer-ls/formats';
import { unknownName } from '../language-model/presets.js';
import { parseArchString } from './arch-string.js';

/** What a preset settles: four numbers are those of the four stages. */
interface Size {
  readonly blocks: readonly [number, number, number, number];
  readonly heads: readonly [number, number, number, number];
  readonly widths: readonly [number, number, number, number];
  readonly imageSize: number;
  readonly windowSize: number;
  readonly dropPath: number;
}

const published = {
  heads: [3, 3, 6, 12],
  widths: [96, 192, 384, 768],
  imageSize: 224,
  windowSize: 7,
} as const;

const sizes = {
  'vil-ls-tiny': {
    blocks: [1, 1, 9, 1],
    heads: [1, 3, 3, 6],
    widths: [48, 96, 192, 384],
    imageSize: 224,
    windowSize: 7,
    dropPath: 0.1,
  },
  'vil-ls-small': { ...published, blocks: [1, 2, 8, 1], dropPath: 0.1 },
  'vil-ls-medium': { ...published, blocks: [1, 4, 16, 1], dropPath: 0.3 },
  'vil-ls-base': { ...published, blocks: [1, 8, 24, 1], dropPath: 0.5 },
  'vil-ls-medium-384': {
    ...published,
    blocks: [1, 4, 16, 1],
    imageSize: 384,
    windowSize: 8,
    dropPath: 0.2,
  },
} satisfies Record<string, Size>;

export type VilLsPresetName = keyof typeof sizes;

export const vilLsPresetNames = Object.keys(sizes) as readonly VilLsPresetName[];

export interface VilLsPresetOptions {
  /** Default consistent. */
  readonly mode?: VilLsConfig['mode'];
  /** Default 1,000. */
  readonly classes?: number;
  /** Rows and columns of pixels. Default: those that the preset was published for. */
  readonly imageSize?: number;
}

/**
 * The complete configuration of a preset: long-short attention in the first two stages, full attention in the last two.
 *
 * @throws ConfigError for a name that does not exist, with the nearest one; for a size of images that the mode does not take
 */
export function vilLsPreset(name: string, options: VilLsPresetOptions = {}): VilLsConfig {
  const known = vilLsPresetNames.find((one) => one === name);
  if (known === undefined) throw unknownName('vision model', name, vilLsPresetNames);
  const { dropPath, ...size } = sizes[known];
  const { mode = 'consistent', classes = 1000, imageSize = size.imageSize } = options;
  return parseConfig(
    vilLsSchema,
    {
      kind: 'vil-ls',
      mode,
      imageHeight: imageSize,
      imageWidth: imageSize,
      classes,
      stages: parseArchString(publishedArch(size), mode),
      dropPath,
    },
    'model',
  );
}

function publishedArch({ blocks, heads, widths, windowSize }: Omit<Size, 'imageSize' | 'dropPath'>): string {
  const stages = blocks.map((n, i) => {
    const [longShort, global, patch] = [i < 2 ? 1 : 0, i < 3 ? 1 : 0, i === 0 ? 4 : 2];
    return `l${i + 1},h${heads[i]},d${widths[i]},n${n},s${longShort},g${global},p${patch},f${windowSize},a0,r8`;
  });
  return stages.join('_');
}
