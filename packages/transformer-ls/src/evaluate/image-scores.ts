/** How well logits of pictures agree with their labels. */
import { crossEntropy, type Tensor } from '@transformer-ls/torch';

export interface ImageScores {
  readonly images: number;
  /** Share of the pictures that got their class. */
  readonly accuracy: number;
  /** Share of the pictures whose class is among the five likeliest. */
  readonly top5: number;
  /** Mean cross-entropy, nats. */
  readonly loss: number;
}

/** Adds up batches. Shape letters: B pictures, C classes. */
export class ScoreSums {
  private images = 0;
  private right = 0;
  private rightOfFive = 0;
  private nats = 0;

  /** @param logits float32 (B, C) @param labels int64 (B) */
  add(logits: Tensor, labels: Tensor): void {
    if (logits.size(0) === 0) return;
    const likeliest = logits.topk(Math.min(5, logits.size(1)))[1];
    const hits = likeliest.eq(labels.unsqueeze(1));
    this.images += logits.size(0);
    this.right += hits.select(1, 0).sum().item();
    this.rightOfFive += hits.sum().item();
    this.nats += crossEntropy(logits, labels, { reduction: 'sum' }).item();
  }

  scores(): ImageScores {
    const { images, right, rightOfFive, nats } = this;
    return { images, accuracy: right / images, top5: rightOfFive / images, loss: nats / images };
  }
}
