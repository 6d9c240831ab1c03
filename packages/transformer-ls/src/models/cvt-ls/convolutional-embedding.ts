/** How a stage of CvT begins: an overlapping convolution makes tokens of the map before it. */
import { type CvtLsStage, cvtEmbeddingPadding } from '@transformer-ls/formats';
import { Conv2d, LayerNorm, Module, type Tensor } from '@transformer-ls/torch';

/** Of every LayerNorm of the model, as in the published CvT. */
export const NORM_EPSILON = 1e-5;

export class ConvolutionalEmbedding extends Module {
  /** (D, inChannels, kernel, kernel) */
  private readonly proj: Conv2d;
  private readonly norm: LayerNorm;

  constructor(inChannels: number, stage: CvtLsStage) {
    super();
    const { modelDim: D, embeddingKernel: kernelSize, embeddingStride: stride } = stage;
    const padding = cvtEmbeddingPadding(stage);
    this.proj = this.child('proj', new Conv2d({ inChannels, outChannels: D, kernelSize, stride, padding }));
    this.norm = this.child('norm', new LayerNorm({ dim: D, epsilon: NORM_EPSILON }));
  }

  /** Map (B, inChannels, height, width) → tokens (B, T, D) of the stage's grid, row by row. */
  forward(map: Tensor): Tensor {
    return this.norm.forward(this.proj.forward(map).flatten(2).transpose(1, 2));
  }
}
