/** A picture, dark where the model looked little. */
import type { ImageClassification, Picture } from '@transformer-ls/runtime';

const LONGEST_SIDE = 480;
/** How dark the least becomes. */
const DARKEST = 0.8;

export function drawHeat(
  canvas: HTMLCanvasElement,
  picture: Picture,
  heat: ImageClassification['heat'],
): void {
  const scale = LONGEST_SIDE / Math.max(picture.width, picture.height);
  canvas.width = Math.round(picture.width * scale);
  canvas.height = Math.round(picture.height * scale);
  const context = canvas.getContext('2d');
  if (context === null) return;
  context.imageSmoothingQuality = 'high';
  context.drawImage(rgbaCanvas(picture), 0, 0, canvas.width, canvas.height);
  if (heat === null) return;
  const { left, top, right, bottom } = heat.box;
  context.drawImage(shade(heat), left * scale, top * scale, (right - left) * scale, (bottom - top) * scale);
}

/** Black, the more opaque the less was looked there; a pixel for each place, which drawing makes smooth. */
function shade({ rows, columns, values }: NonNullable<ImageClassification['heat']>): OffscreenCanvas {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const pixels = new Uint8ClampedArray(4 * rows * columns);
  for (const [i, value] of values.entries())
    pixels[4 * i + 3] = 255 * DARKEST * (most > least ? 1 - (value - least) / (most - least) : 0);
  return canvasOf(columns, rows, pixels);
}

function rgbaCanvas({ width, height, data }: Picture): OffscreenCanvas {
  return canvasOf(width, height, Uint8ClampedArray.from(data));
}

function canvasOf(width: number, height: number, pixels: Uint8ClampedArray<ArrayBuffer>): OffscreenCanvas {
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext('2d')?.putImageData(new ImageData(pixels, width, height), 0, 0);
  return canvas;
}
