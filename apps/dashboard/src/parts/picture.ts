/** Pictures as the browser decodes them. */
import type { Picture } from '@transformer-ls/runtime';

/** Larger ones are reduced first: no model looks closer. */
const LARGEST_SIDE = 1024;
const MOST_BYTES = 50 * 2 ** 20;

/** @throws Error in one line where it is no picture */
export async function pictureOf(file: Blob): Promise<Picture> {
  if (file.size > MOST_BYTES) throw new Error('expected a picture of at most 50 MiB, received more');
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Error(`expected a picture, received ${file.type === '' ? 'something else' : file.type}`);
  });
  try {
    const scale = Math.min(1, LARGEST_SIDE / Math.max(bitmap.width, bitmap.height));
    const [width, height] = [bitmap.width, bitmap.height].map((side) =>
      Math.max(1, Math.round(side * scale)),
    ) as [number, number];
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext('2d', {
      willReadFrequently: true,
    }) as OffscreenCanvasRenderingContext2D;
    context.imageSmoothingQuality = 'high';
    // Transparent pixels are white, as on most pages.
    context.fillStyle = '#fff';
    context.fillRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0, width, height);
    return { width, height, data: context.getImageData(0, 0, width, height).data };
  } finally {
    bitmap.close();
  }
}
