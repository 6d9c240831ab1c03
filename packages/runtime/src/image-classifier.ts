/** A classifier of pictures. */
import {
  type ColourStatistics,
  type ExportedImageClassifier,
  normalisation,
  normalised,
  type RgbImage,
  type SourceBox,
  seenByModel,
} from '@transformer-ls/formats';
import type { Device, ReadyEngine, Tensor } from './engine.js';
import { RuntimeError } from './errors.js';
import { Graph } from './graph.js';
import type { ModelFiles } from './model-files.js';
import { type ClassShare, sharesOf } from './shares.js';
import type { RunOptions } from './text-classifier.js';
import { Turns } from './turns.js';

/** Pixels row by row: three bytes each, or four, of which the last is not looked at (`ImageData` of a canvas). */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array | Uint8ClampedArray;
}

export interface ImageClassification {
  /** The likeliest class. */
  readonly label: string;
  /** Of every class, the likeliest first. */
  readonly classes: readonly ClassShare[];
  /** Where in the picture the model looked; null where `manifest.heat` says none. */
  readonly heat: PictureHeat | null;
}

/** How much was looked at each part of a grid over `box`, row by row. */
export interface PictureHeat {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float32Array;
  /** The part of the picture that the model saw, in its pixels. */
  readonly box: SourceBox;
}

export class ImageClassifier {
  readonly kind = 'image-classifier';
  private readonly turns = new Turns();

  private constructor(
    readonly manifest: ExportedImageClassifier,
    /** What computes. */
    readonly device: Device,
    private readonly graph: Graph,
  ) {}

  /** @internal */
  static async create(
    ready: ReadyEngine,
    files: ModelFiles,
    manifest: ExportedImageClassifier,
  ): Promise<ImageClassifier> {
    return new ImageClassifier(manifest, ready.device, await Graph.create(ready, files, manifest.graph));
  }

  /** @throws RuntimeError where the bytes are not as many as the picture's size says */
  async classify(picture: Picture, options: RunOptions = {}): Promise<ImageClassification> {
    const wanted = ['logits', ...(this.manifest.heat === 'none' ? [] : ['heat'])];
    const { results, box } = await this.run(picture, wanted, options);
    const classes = sharesOf((results.logits as Tensor).data as Float32Array, this.manifest.classes);
    return { label: classes[0]!.name, classes, heat: heatOf(results.heat, box) };
  }

  /** What the head reads of the picture, (D of the last stage). */
  async embed(picture: Picture, options: RunOptions = {}): Promise<Float32Array> {
    const { results } = await this.run(picture, ['features'], options);
    return (results.features as Tensor).data as Float32Array;
  }

  async dispose(): Promise<void> {
    await this.turns.take(() => this.graph.release());
  }

  private async run(picture: Picture, wanted: readonly string[], { signal }: RunOptions) {
    const { imageHeight: height, imageWidth: width } = this.manifest.model;
    const { mean, std, cropRatio, filter } = this.manifest;
    const { image, box } = seenByModel(rgbOf(picture), { height, width }, { cropRatio, filter });
    const planes = normalised(image, normalisation(mean as ColourStatistics, std as ColourStatistics));
    const images = this.graph.tensor('float32', planes, [1, 3, height, width]);
    const results = await this.turns.take(async () => {
      signal?.throwIfAborted();
      return this.graph.run({ images }, wanted);
    });
    return { results, box };
  }
}

function heatOf(heat: Tensor | undefined, box: SourceBox): PictureHeat | null {
  if (heat === undefined) return null;
  const [, rows, columns] = heat.dims as [number, number, number];
  return { rows, columns, values: heat.data as Float32Array, box };
}

function rgbOf({ width, height, data }: Picture): RgbImage {
  if (![width, height].every((side) => Number.isSafeInteger(side) && side > 0))
    throw new RuntimeError(
      'bad-input',
      `expected a picture of at least one pixel, received ${width} x ${height}`,
    );
  const pixels = width * height;
  if (data.length === 3 * pixels) return { width, height, data: Uint8Array.from(data) };
  if (data.length !== 4 * pixels)
    throw new RuntimeError(
      'bad-input',
      `expected ${3 * pixels} or ${4 * pixels} bytes for ${width} x ${height} pixels, received ${data.length}`,
    );
  const rgb = new Uint8Array(3 * pixels);
  for (let i = 0; i < pixels; i++)
    for (let colour = 0; colour < 3; colour++) rgb[3 * i + colour] = data[4 * i + colour]!;
  return { width, height, data: rgb };
}
