import type { ImageClassifierConfig } from '@transformer-ls/formats';
import { ArgumentError, type Tensor } from '@transformer-ls/torch';

/** @throws ArgumentError for anything but (B, channels, imageHeight, imageWidth) */
export function checkImages(
  { shape, ndim }: Tensor,
  {
    channels,
    imageHeight,
    imageWidth,
  }: Pick<ImageClassifierConfig, 'channels' | 'imageHeight' | 'imageWidth'>,
): void {
  const expected = [channels, imageHeight, imageWidth];
  if (ndim !== 4 || String(shape.slice(1)) !== String(expected))
    throw new ArgumentError(
      `expected images of shape (batch, ${expected.join(', ')}), received (${shape.join(', ')})`,
    );
}
