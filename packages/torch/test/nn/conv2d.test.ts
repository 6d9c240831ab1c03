import { describe, expect, it } from 'vitest';
import { Conv2d, DropPath, manualSeed, noGrad, ones, randn, scope, tensor } from '../../src/index.js';

describe('Conv2d', () => {
  it('sums the kernel over each place, with stride and padding', () => {
    scope(() => {
      const convolution = new Conv2d({ inChannels: 1, outChannels: 1, kernelSize: 3, stride: 2, padding: 1 });
      noGrad(() => {
        convolution.weight.fill_(1);
        convolution.bias!.fill_(10);
      });
      const x = tensor([
        [
          [
            [1, 2, 3],
            [4, 5, 6],
            [7, 8, 9],
          ],
        ],
      ]);
      expect(convolution.forward(x).tolist()).toEqual([
        [
          [
            [22, 26],
            [34, 38],
          ],
        ],
      ]);
      convolution.dispose();
    });
  });

  it('keeps groups apart', () => {
    scope(() => {
      const convolution = new Conv2d({
        inChannels: 2,
        outChannels: 2,
        kernelSize: 1,
        groups: 2,
        bias: false,
      });
      expect(convolution.weight.shape).toEqual([2, 1, 1, 1]);
      noGrad(() => convolution.weight.copy_(tensor([2, 3], { dtype: 'float32' }).view([2, 1, 1, 1])));
      expect(
        convolution
          .forward(ones([1, 2, 1, 1]))
          .flatten()
          .tolist(),
      ).toEqual([2, 3]);
      convolution.dispose();
    });
  });

  it('starts within 1 / sqrt(fan in)', () => {
    manualSeed(1);
    const convolution = new Conv2d({ inChannels: 4, outChannels: 64, kernelSize: 3 });
    scope(() => {
      const largest = convolution.weight.abs().max().item();
      expect(largest).toBeLessThanOrEqual(1 / 6);
      expect(largest).toBeGreaterThan(0.16);
    });
    convolution.dispose();
  });

  it.each([
    [
      { inChannels: 3, outChannels: 4, kernelSize: 0 },
      'Conv2d: expected kernelSize to be a whole number of at least 1, received 0',
    ],
    [
      { inChannels: 3, outChannels: 4, kernelSize: 1, groups: 2 },
      'Conv2d: expected groups to divide 3 and 4 channels, received 2',
    ],
  ])('refuses %j', (options, message) => {
    expect(() => new Conv2d(options)).toThrow(message);
  });
});

describe('DropPath', () => {
  it('zeroes whole samples while training and keeps the mean; is the identity otherwise', () => {
    manualSeed(1);
    scope(() => {
      const path = new DropPath({ p: 0.25 });
      const y = path.forward(ones([4000, 2, 3]));
      const [smallest, largest] = [y.amin([1, 2]), y.amax([1, 2])];
      expect(smallest.equal(largest)).toBe(true);
      expect(y.mean().item()).toBeCloseTo(1, 1);
      expect(largest.max().item()).toBeCloseTo(4 / 3, 5);
      expect(smallest.min().item()).toBe(0);
      path.eval();
      const x = randn([3, 2]);
      expect(path.forward(x)).toBe(x);
    });
  });

  it.each([-0.1, 1, Number.NaN])('refuses p = %d', (p) => {
    expect(() => new DropPath({ p })).toThrow('DropPath: expected p of at least 0 and below 1');
  });
});
