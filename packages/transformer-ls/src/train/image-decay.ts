/** Which weights of a vision model decay. */
import type { Tensor } from '@transformer-ls/torch';

/** Parts of the names of what does not decay as published (spec 4.6); DualLN and all other biases do. */
const PUBLISHED_WITHOUT_DECAY = [
  'pos_embed',
  'cls_token',
  'norm.weight',
  'norm.bias',
  'norm_embed',
  'head.bias',
  'relative_position',
];

/**
 * As published in reference mode. Else matrices and kernels only: not what is added (biases, also those of displacements; global
 * tokens, positions) nor what scales.
 *
 * @param name as the model calls it
 */
export function decaysInVision(mode: 'reference' | 'consistent', name: string, parameter: Tensor): boolean {
  if (mode === 'reference') return !PUBLISHED_WITHOUT_DECAY.some((part) => name.includes(part));
  return parameter.ndim >= 2 && !/pos_embed|cls_token|relative_position/.test(name);
}
