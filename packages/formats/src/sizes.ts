// What the configurations count: sizes, and probabilities of dropping.

import { integer, number } from './schema.js';

/** Sizes end up as dimensions of tensors and as 32-bit loop counters of native kernels. */
export const LARGEST_SIZE = 2 ** 31 - 1;

/** Blocks of one stack. The deepest published Transformers have some hundreds; each costs a program time, even where weights are shared. */
export const MOST_LAYERS = 1000;

export const layerCount = () => integer({ min: 1, max: MOST_LAYERS });
export const size = () => integer({ min: 1, max: LARGEST_SIZE });
export const sizeOrZero = () => integer({ min: 0, max: LARGEST_SIZE });
export const probability = () => number({ min: 0, below: 1 });
