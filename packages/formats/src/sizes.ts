// What the configurations count: sizes, and probabilities of dropping.

import { integer, number } from './schema.js';

/** Sizes end up as dimensions of tensors and as 32-bit loop counters of native kernels. */
export const LARGEST_SIZE = 2 ** 31 - 1;

export const size = () => integer({ min: 1, max: LARGEST_SIZE });
export const sizeOrZero = () => integer({ min: 0, max: LARGEST_SIZE });
export const probability = () => number({ min: 0, below: 1 });
