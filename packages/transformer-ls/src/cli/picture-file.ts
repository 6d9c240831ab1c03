/** Pictures as files: SVG as it is, PNG through the optional package sharp. */
import { extname } from 'node:path';
import { loadSharp } from '../images/load-sharp.js';
import { replaceFile } from '../run/durable.js';
import { nodeFileSystem } from '../run/file-system.js';
import { UsageError } from './errors.js';

/** Turns an SVG document into the bytes of a file. */
export type PictureFormat = (svg: string) => Promise<Uint8Array>;

/** Twice the pixels of a page at 72 to the inch, for sharp letters. */
const PNG_DENSITY = 144;
/** Of pixels: what sharp draws at once without a great deal of memory. */
const MOST_PNG_PIXELS = 200e6;

export interface PictureFileOptions {
  /** That names the file. Default: `--out`. */
  readonly flag?: string;
  /** Whether there are photographs in it, for which 256 colours are too few. Default: false. */
  readonly hasPhotographs?: boolean;
}

/** How to write a file of this name; asked before any work is done. @throws UsageError where it is none that can be drawn */
export async function pictureFormat(
  path: string,
  { flag = '--out', hasPhotographs = false }: PictureFileOptions = {},
): Promise<PictureFormat> {
  switch (extname(path).toLowerCase()) {
    case '.svg':
      return async (svg) => new TextEncoder().encode(svg);
    case '.png':
      return pngFormat(path, !hasPhotographs);
    default:
      throw new UsageError(`expected ${flag} with a name that ends in .svg or .png, received ${path}`);
  }
}

async function pngFormat(path: string, palette: boolean): Promise<PictureFormat> {
  const sharp = await loadSharp('.png files').catch((error) => {
    throw new UsageError(`${path}: ${error.message}; a .svg needs nothing`);
  });
  return async (svg) => {
    const image = sharp(new TextEncoder().encode(svg), {
      density: PNG_DENSITY,
      limitInputPixels: MOST_PNG_PIXELS,
    });
    try {
      return await image.png({ palette }).toBuffer();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new UsageError(`${path}: the picture cannot be drawn as .png (${reason}); a .svg can`);
    }
  };
}

/** Replaces the file as a whole; returns its bytes. @throws UsageError where it cannot be written */
export async function writePicture(path: string, bytes: Uint8Array): Promise<void> {
  try {
    await replaceFile(nodeFileSystem, path, [bytes]);
  } catch (error) {
    throw new UsageError(`cannot write ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
