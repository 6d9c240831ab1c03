import { it } from 'vitest';
import { killWhileTraining } from './kill-training.js';

it('a training killed 40 times ends in the same weights as one that never stopped', () =>
  killWhileTraining(40));
