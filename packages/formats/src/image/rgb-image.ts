/** A picture in memory: what every reader gives and every change of pictures takes and gives. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  /** Red, green, blue of each pixel, row by row, 0 to 255: 3 * width * height bytes. */
  readonly data: Uint8Array;
}
