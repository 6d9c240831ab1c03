import { ones } from '@transformer-ls/torch';
import { expect, it } from 'vitest';
import { LossScale, Precision } from '../../src/train/precision.js';

it('the loss scale doubles after 2000 good steps in a row and halves after a bad one', () => {
  const scale = new LossScale(true);
  const first = scale.scale;
  for (let step = 0; step < 1999; step++) scale.update(true);
  expect(scale.scale).toBe(first);
  scale.update(true);
  expect(scale.scale).toBe(2 * first);
  for (let step = 0; step < 1999; step++) scale.update(true);
  scale.update(false);
  expect(scale.scale).toBe(first);
  scale.update(true);
  expect(scale.scale).toBe(first);
});

it('the loss scale comes back from its state', () => {
  const [scale, restored] = [new LossScale(true), new LossScale(true)];
  for (let step = 0; step < 1999; step++) scale.update(true);
  restored.restore(scale.state());
  restored.update(true);
  expect(restored.scale).toBe(2 * scale.scale);
});

it('there is no scale where the range is that of float32', () => {
  const scale = new LossScale(false);
  scale.update(false);
  expect(scale.scale).toBe(1);
});

it('bfloat16 on the CPU: products take it, what is outside does not', () => {
  const [a, b] = [ones([2, 2]), ones([2, 2])];
  expect(new Precision('bfloat16', 'cpu').run(() => a.matmul(b)).dtype).toBe('bfloat16');
  expect(new Precision('float32', 'cpu').run(() => a.matmul(b)).dtype).toBe('float32');
  expect(a.matmul(b).dtype).toBe('float32');
});
