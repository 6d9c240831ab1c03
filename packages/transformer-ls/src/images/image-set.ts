/** What every source of labelled pictures offers: folders, archives, tables. */
import type { RgbImage } from '@transformer-ls/formats';

/** Pictures with a class each, in an order that does not change. */
export interface ImageSet {
  /** What the data are called in records. */
  readonly name: string;
  /** Names of the classes for people, by label; two classes may share one (a crane is a bird and a machine). */
  readonly classes: readonly string[];
  /** What tells the classes apart in every copy of the data, by label: names of folders such as `n02012849`. */
  readonly classIds: readonly string[];
  /** Class of each picture, 0 to classes - 1. */
  readonly labels: Int32Array;
  /** Identifies the contents: equal for equal pictures in equal order, SHA-256 in hexadecimal of names, sizes and labels, or of labels and pixels. */
  readonly fingerprint: string;
  /** What a picture is called in messages. */
  nameOf(index: number): string;
  /** @throws ImageError in one line where it cannot be read or decoded */
  read(index: number): Promise<RgbImage>;
  close(): Promise<void>;
}

/** One picture that cannot be used; the message is one line that begins with its name. */
export class ImageError extends Error {
  override readonly name = 'ImageError';
}
