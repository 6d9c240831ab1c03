/** The picture file that `attend` is asked about, as the model sees it, and the token that is meant. */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { type SeenPicture, seenByModel } from '@transformer-ls/formats';
import { fileError } from '../data/errors.js';
import { imageDecoder } from '../images/decode.js';
import type { FixedView } from '../images/loader/picture-view.js';
import type { GridPlace } from '../models/vision/grid-weights.js';
import type { StageGrid } from '../models/vision/stage-grids.js';
import { UsageError } from './errors.js';

export interface NamedPicture extends SeenPicture {
  readonly name: string;
  /** Pixels of the file. */
  readonly width: number;
  readonly height: number;
}

/** @throws UsageError, DataError or ImageError in one line */
export async function readPicture(
  files: readonly string[],
  size: { readonly height: number; readonly width: number },
  view: FixedView,
): Promise<NamedPicture> {
  const [path] = files;
  if (path === undefined || files.length > 1)
    throw new UsageError(`expected one picture file for a vision model, received ${files.length}`);
  const decode = await imageDecoder();
  const bytes = await readFile(path).catch((error) => {
    throw new UsageError(fileError('read', path, error).message);
  });
  const image = await decode(bytes, path);
  const { width, height } = image;
  return { name: basename(path), width, height, ...seenByModel(image, size, view) };
}

/** The token that shows a pixel of the file. @throws UsageError where the model does not see that pixel */
export function tokenAt(
  { x, y }: { readonly x: number; readonly y: number },
  { box, image }: SeenPicture,
  { rows, columns, patch }: StageGrid,
): GridPlace {
  const along = (place: number, from: number, to: number, pixels: number) =>
    ((place + 0.5 - from) / (to - from)) * pixels;
  const across = along(x, box.left, box.right, image.width);
  const down = along(y, box.top, box.bottom, image.height);
  if (across < 0 || across >= image.width || down < 0 || down >= image.height)
    throw new UsageError(
      `--at-pixel: expected a pixel that the model sees, x ${pixelsText(box.left, box.right)} and y ${pixelsText(box.top, box.bottom)}, received ${x}:${y}`,
    );
  // The last token of a grid also stands for pixels that no whole patch is left of.
  return {
    row: Math.min(rows - 1, Math.floor(down / patch)),
    column: Math.min(columns - 1, Math.floor(across / patch)),
  };
}

/** Those whose middle lies between the edges. */
function pixelsText(from: number, to: number): string {
  return `from ${Math.ceil(from - 0.5)} to ${Math.ceil(to - 0.5) - 1}`;
}
