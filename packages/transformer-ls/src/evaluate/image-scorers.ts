/** Scores of pictures that have not one label among all classes of the model: some classes only, or several labels. */
import type { Tensor } from '@transformer-ls/torch';
import { tensor } from '@transformer-ls/torch';
import { type ImageScores, ScoreSums } from './image-scores.js';
import type { ImageScorer } from './images.js';

/** The model chooses among some of its classes, as for ImageNet-A and -R. Shape letters: B pictures, C classes. */
export class SubsetScorer implements ImageScorer {
  private readonly sums = new ScoreSums();
  /** Place among the chosen classes by label. */
  private readonly places: Int32Array;

  /** @param classes labels that can be chosen, rising @param total classes of the model */
  constructor(
    private readonly classes: Int32Array,
    total: number,
  ) {
    this.places = new Int32Array(total).fill(-1);
    for (const [place, label] of classes.entries()) this.places[label] = place;
  }

  add(logits: Tensor, labels: Tensor): void {
    const { device } = logits;
    const chosen = logits.indexSelect(1, tensor(this.classes, { device }));
    const places = tensor(this.places, { device }).to('int64').indexSelect(0, labels);
    this.sums.add(chosen, places);
  }

  scores(): ImageScores {
    return this.sums.scores();
  }
}

/** Any of several labels is right, as for ImageNet-Real; there is no loss then. */
export class AnyLabelScorer implements ImageScorer {
  private images = 0;
  private right = 0;
  private rightOfFive = 0;

  /** @param labelsOf all right labels of the picture at a place in the set */
  constructor(private readonly labelsOf: (index: number) => readonly number[]) {}

  add(logits: Tensor, _labels: Tensor, indices: Int32Array): void {
    const count = Math.min(5, logits.size(1));
    const likeliest = logits.topk(count)[1].to('int32').toTypedArray();
    for (const [row, index] of indices.entries()) {
      const right = new Set(this.labelsOf(index));
      const hits = Array.from({ length: count }, (_, i) => right.has(Number(likeliest[row * count + i])));
      this.images += 1;
      this.right += Number(hits[0]);
      this.rightOfFive += Number(hits.includes(true));
    }
  }

  scores(): ImageScores {
    const { images, right, rightOfFive } = this;
    return { images, accuracy: right / images, top5: rightOfFive / images, loss: Number.NaN };
  }
}
