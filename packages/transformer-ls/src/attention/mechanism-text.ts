/** A classifier's attention in a few words. */
import type { AttentionConfig, AttentionName } from '@transformer-ls/formats';

type SizeName = Exclude<keyof AttentionConfig, 'name'>;

/** The sizes that each mechanism reads, and what they are called for short. */
const sizesOf: Readonly<Record<AttentionName, readonly SizeName[]>> = {
  'long-short': ['windowSize', 'projectionRank', 'convolutionSize'],
  'projection-only': ['projectionRank', 'convolutionSize'],
  'window-only': ['windowSize', 'convolutionSize'],
  full: [],
  local: ['windowSize'],
  linformer: ['projectionRank'],
  linear: [],
  performer: ['randomFeatures'],
  nystromformer: ['landmarks'],
  reformer: ['hashes', 'blockSize'],
  longformer: ['windowSize', 'globalTokens'],
  bigbird: ['blockSize', 'randomBlocks'],
};

const shortNames: Readonly<Record<SizeName, string>> = {
  windowSize: 'window',
  projectionRank: 'rank',
  convolutionSize: 'convolution',
  landmarks: 'landmarks',
  randomFeatures: 'random features',
  hashes: 'hashes',
  blockSize: 'block',
  globalTokens: 'global tokens',
  randomBlocks: 'random blocks',
};

/** `long-short attention, window 8, rank 32`: only the sizes that this mechanism reads. */
export function mechanismText(attention: AttentionConfig): string {
  return [`${attention.name} attention`, ...sizeTexts(attention)].join(', ');
}

/** `long-short (window 8, rank 32)`, for tables and pictures. */
export function mechanismLabel(attention: AttentionConfig): string {
  const sizes = sizeTexts(attention).join(', ');
  return sizes === '' ? attention.name : `${attention.name} (${sizes})`;
}

function sizeTexts(attention: AttentionConfig): string[] {
  const sizes = sizesOf[attention.name].filter((size) => attention[size] !== null);
  return sizes.map((size) => `${shortNames[size]} ${attention[size]}`);
}
