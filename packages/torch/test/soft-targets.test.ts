import { describe, expect, it } from 'vitest';
import { crossEntropy, manualSeed, randn, tensor } from '../src/index.js';
import { gradcheck } from './gradcheck.js';

const shares = [
  [0.7, 0.3, 0],
  [0.1, 0.1, 0.8],
];

describe('cross-entropy with shares of classes as targets', () => {
  it('is the sum of share times -log softmax, averaged over the rows', () => {
    const logits = [
      [1, -2, 0.5],
      [0, 3, -1],
    ];
    const expected =
      logits.reduce((sum, row, i) => {
        const total = Math.log(row.reduce((all, one) => all + Math.exp(one), 0));
        return sum + row.reduce((nats, one, c) => nats + shares[i]![c]! * (total - one), 0);
      }, 0) / logits.length;
    const loss = crossEntropy(tensor(logits, { dtype: 'float64' }), tensor(shares, { dtype: 'float64' }));
    expect(loss.item()).toBeCloseTo(expected, 12);
  });

  it('with all of a row in one class it is that with a label', () => {
    manualSeed(1);
    const logits = randn([3, 4], { dtype: 'float64' });
    const labels = tensor(Int32Array.from([2, 0, 3])).to('int64');
    const whole = tensor([0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1], { shape: [3, 4], dtype: 'float64' });
    expect(crossEntropy(logits, whole).item()).toBeCloseTo(crossEntropy(logits, labels).item(), 12);
  });

  it('smoothed by hand it is that with labelSmoothing', () => {
    manualSeed(2);
    const logits = randn([2, 3], { dtype: 'float64' });
    const labels = tensor(Int32Array.from([0, 2])).to('int64');
    const [off, on] = [0.1 / 3, 0.9 + 0.1 / 3];
    const smoothed = tensor([on, off, off, off, off, on], { shape: [2, 3], dtype: 'float64' });
    const expected = crossEntropy(logits, labels, { labelSmoothing: 0.1 });
    expect(crossEntropy(logits, smoothed).item()).toBeCloseTo(expected.item(), 12);
  });

  it('has its gradient', () => {
    const logits = randn([2, 3], { dtype: 'float64', requiresGrad: true });
    gradcheck(() => crossEntropy(logits, tensor(shares, { dtype: 'float64' })), [logits]);
  });
});
