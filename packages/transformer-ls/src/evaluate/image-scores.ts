/** How many pictures get their class. */
import { crossEntropy, noGrad, scope, type Tensor, tensor } from '@transformer-ls/torch';

export interface ImageScores {
  readonly images: number;
  /** Share of the pictures that got their class. */
  readonly accuracy: number;
  /** Share of the pictures whose class is among the five likeliest. */
  readonly top5: number;
  /** Mean cross-entropy, nats. */
  readonly loss: number;
}
