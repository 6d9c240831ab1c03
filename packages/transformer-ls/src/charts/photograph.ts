/**
 * A photograph inside of an SVG document, drawn any number of times: in its colours, or grey and faint as the ground of a heat map.
 * It is written into the document once for each.
 */
import { type RgbImage, resize } from '@transformer-ls/formats';
import { pngFile } from './png.js';
import { element } from './svg.js';
import { DARK, LIGHT } from './theme.js';

/** A part of the page, or of a photograph, in pixels. */
export interface Frame {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** More pixels than are drawn on a page only make the document large. */
const MOST_SIDE = 640;

/** How faint a grey photograph is: weights on it must stand out, and it must still be seen. */
const VEIL_OPACITY = 0.6;

export const PHOTOGRAPH_STYLE = [
  `.tls-veil{fill:${LIGHT.page};fill-opacity:${VEIL_OPACITY}}`,
  `.tls-halo{stroke:${LIGHT.page}}`,
  `@media (prefers-color-scheme:dark){.tls-veil{fill:${DARK.page}}.tls-halo{stroke:${DARK.page}}}`,
].join('');

/** Stands once in the document, before anything that is drawn from it. */
export function photographDefinitions(image: RgbImage): string {
  const small = reduced(image);
  const { width, height } = small;
  const files = {
    'tls-photograph': pngFile({ ...small, channels: 3 }),
    'tls-grey': pngFile({ width, height, channels: 1, data: grey(small) }),
  };
  const pictures = Object.entries(files).map(([id, file]) =>
    element('image', {
      id,
      width: image.width,
      height: image.height,
      preserveAspectRatio: 'none',
      href: `data:image/png;base64,${Buffer.from(file).toString('base64')}`,
      // A picture of few pixels is shown as its pixels.
      style: Math.max(image.width, image.height) <= 64 ? 'image-rendering:pixelated' : undefined,
    }),
  );
  return element('defs', {}, pictures.join(''));
}

/** The part `shown` of the photograph (it may reach beyond its edges), stretched to `place` on the page. */
export function photograph(look: 'colours' | 'ground', shown: Frame, place: Frame): string {
  const { x, y, width, height } = shown;
  const id = look === 'colours' ? 'tls-photograph' : 'tls-grey';
  const veil = look === 'colours' ? '' : element('rect', { class: 'tls-veil', ...shown });
  const view = { viewBox: `${x} ${y} ${width} ${height}`, preserveAspectRatio: 'none' };
  return element('svg', { ...place, ...view }, element('use', { href: `#${id}` }) + veil);
}

function reduced(image: RgbImage): RgbImage {
  const factor = MOST_SIDE / Math.max(image.width, image.height);
  if (factor >= 1) return image;
  const [width, height] = [image.width, image.height].map((side) => Math.max(1, Math.round(side * factor)));
  return resize(image, { width: width!, height: height!, filter: 'box' });
}

/** Luma as television weighs it. */
function grey({ width, height, data }: RgbImage): Uint8Array {
  return Uint8Array.from({ length: width * height }, (_, i) =>
    Math.round(0.299 * data[3 * i]! + 0.587 * data[3 * i + 1]! + 0.114 * data[3 * i + 2]!),
  );
}
