/** Colour images as sequences of grey, as Long Range Arena reads CIFAR-10. */
import { CIFAR_SIDE } from '../images/cifar-batches.js';

export const CIFAR_PIXELS = CIFAR_SIDE * CIFAR_SIDE;

/** What a colour of each strength adds to the grey, as a fraction; the weights are those of TensorFlow's rgb_to_grayscale. */
const shareOf = (weight: number) =>
  Float32Array.from(
    { length: 256 },
    (_, value) => Math.fround(value * Math.fround(1 / 255)) * Math.fround(weight),
  );
const [redShare, greenShare, blueShare] = [shareOf(0.2989), shareOf(0.587), shareOf(0.114)] as const;

/** Grey 0 … 255 in float32 steps, as TensorFlow turns the fraction into a byte: times 255.5, cut to a whole number. */
export function greyOf(red: number, green: number, blue: number): number {
  const grey = Math.fround(Math.fround(redShare[red]! + greenShare[green]!) + blueShare[blue]!);
  return Math.floor(Math.fround(grey * 255.5));
}

/** How the three colours of an image lie: each pixel's together, or one plane after the other. */
export type ColourLayout = 'pixels' | 'planes';

/** 1,024 grey pixels of 3,072 bytes of colours. */
export function greyImage(colours: Uint8Array, layout: ColourLayout): Uint8Array {
  const [step, plane] = layout === 'pixels' ? [3, 1] : [1, CIFAR_PIXELS];
  const grey = new Uint8Array(CIFAR_PIXELS);
  for (let i = 0; i < CIFAR_PIXELS; i++)
    grey[i] = greyOf(colours[i * step]!, colours[i * step + plane]!, colours[i * step + 2 * plane]!);
  return grey;
}

/** An image with its label 0 … 9. */
export interface GreyExample {
  /** 1,024 bytes */
  readonly pixels: Uint8Array;
  readonly label: number;
}

/** Both parts, in official order. */
export interface GreyImages {
  readonly train: readonly GreyExample[];
  readonly test: readonly GreyExample[];
}

/** Called between images: reports, and throws to stop. */
export type Tick = (done: number, total: number | undefined) => void;
