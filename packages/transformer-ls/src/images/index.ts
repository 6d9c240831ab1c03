export { type AugmentationName, augmentation, augmentationNames } from './augment/presets.js';
export { type CheckOptions, checkImages, type ImageCheck, type Spread } from './check-images.js';
export { type ContactSheet, contactSheet, type SheetPicture } from './contact-sheet.js';
export { type DecodeImage, imageDecoder, MOST_ENCODED_BYTES, MOST_PIXELS } from './decode.js';
export { type FoundImages, findImages } from './find-source.js';
export type { HeldOut } from './held-out.js';
export { type ImagePart, imageParts } from './image-parts.js';
export { ImageError, type ImageSet } from './image-set.js';
export {
  type ImageBatch,
  ImageLoader,
  type ImageLoaderOptions,
  type ImageLoaderState,
} from './loader/image-loader.js';
export type { ImageProblem } from './loader/picture-reader.js';
export type { FixedView, PictureView, TrainingView } from './loader/picture-view.js';
export { findImageSource, HELD_OUT, type PartOptions } from './part-source.js';
export {
  type CifarSource,
  type FilesSource,
  type ImageSource,
  openImageSet,
  type ParquetSource,
  type StripsSource,
} from './sources.js';
