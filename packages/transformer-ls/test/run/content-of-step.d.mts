import type { CheckpointContent } from '../../src/run/checkpoint.js';

export function contentOfStep(step: number): CheckpointContent;
