/**
 * Mixup (Zhang and others 2017), cutmix (Yun and others 2019) and label smoothing on a batch, as timm does it in batch mode: each
 * picture is mixed with the one at the same place from the end, all with the same share.
 *
 * Shape letters: B pictures, S pixels a side, C classes.
 */
import type { Random } from '../../data/random.js';
import { beta } from './distributions.js';

export interface MixingSettings {
  /** Alphas of the beta distributions; 0: not this kind. */
  readonly mixup: number;
  readonly cutmix: number;
  /** That a batch is mixed at all. */
  readonly mixProbability: number;
  /** Of cutmix where both could be. */
  readonly cutmixShare: number;
}

/** Rows [top, bottom) and columns [left, right). */
export interface CutBox {
  readonly top: number;
  readonly bottom: number;
  readonly left: number;
  readonly right: number;
}

/** How a batch is mixed. */
export type Mixing =
  | { readonly kind: 'none' }
  /** `share` of the picture itself, the rest of the other. */
  | { readonly kind: 'mixup'; readonly share: number }
  /** The box comes from the other picture, whose part of the area it is. */
  | { readonly kind: 'cutmix'; readonly share: number; readonly box: CutBox };

/** @param size S */
export function drawMixing(settings: MixingSettings, size: number, random: Random): Mixing {
  const { mixup, cutmix, mixProbability, cutmixShare } = settings;
  if ((mixup === 0 && cutmix === 0) || random.unit() >= mixProbability) return { kind: 'none' };
  const cuts = cutmix > 0 && (mixup === 0 || random.unit() < cutmixShare);
  if (!cuts) return { kind: 'mixup', share: beta(mixup, mixup, random) };
  const box = cutBox(beta(cutmix, cutmix, random), size, random);
  return { kind: 'cutmix', share: shareOf(box, size), box };
}

/** A square of part 1 - share of the area, its centre anywhere; what of it lies outside is cut off. */
export function cutBox(share: number, size: number, random: Random): CutBox {
  const side = Math.trunc(size * Math.sqrt(1 - share));
  const [y, x] = [random.below(size), random.below(size)];
  const from = (centre: number) => Math.max(0, centre - Math.floor(side / 2));
  const to = (centre: number) => Math.min(size, centre + Math.floor((side + 1) / 2));
  return { top: from(y), bottom: to(y), left: from(x), right: to(x) };
}

function shareOf({ top, bottom, left, right }: CutBox, size: number): number {
  return 1 - ((bottom - top) * (right - left)) / (size * size);
}

/** Mixes pictures in place. @param pixels (B, 3, S, S) */
export function mixPictures(pixels: Float32Array, mixing: Mixing, size: number): void {
  if (mixing.kind === 'none') return;
  const values = 3 * size * size;
  const last = pixels.length / values - 1;
  for (let i = 0; i < last - i; i++) {
    const one = pixels.subarray(i * values, (i + 1) * values);
    const other = pixels.subarray((last - i) * values, (last - i + 1) * values);
    if (mixing.kind === 'mixup') blendBoth(one, other, mixing.share);
    else swapBoxes(one, other, mixing.box, size);
  }
}

/** Rounded after each step, as PyTorch does. */
function blendBoth(one: Float32Array, other: Float32Array, share: number): void {
  const [mine, theirs] = [Math.fround(share), Math.fround(1 - share)];
  for (let i = 0; i < one.length; i++) {
    const [a, b] = [one[i]!, other[i]!];
    one[i] = Math.fround(a * mine) + Math.fround(b * theirs);
    other[i] = Math.fround(b * mine) + Math.fround(a * theirs);
  }
}

function swapBoxes(one: Float32Array, other: Float32Array, box: CutBox, size: number): void {
  for (let channel = 0; channel < 3; channel++)
    for (let y = box.top; y < box.bottom; y++) {
      const row = (channel * size + y) * size;
      const mine = one.slice(row + box.left, row + box.right);
      one.set(other.subarray(row + box.left, row + box.right), row + box.left);
      other.set(mine, row + box.left);
    }
}

/**
 * What the network should answer: of each row `share` for its own class and the rest for that of the picture it is mixed with, both
 * smoothed over all classes.
 *
 * @param targets (B, C), overwritten
 */
export function writeTargets(
  targets: Float32Array,
  labels: Int32Array,
  { share, smoothing }: { readonly share: number; readonly smoothing: number },
): void {
  const rows = labels.length;
  const classes = targets.length / rows;
  const [mine, theirs] = [Math.fround(share), Math.fround(1 - share)];
  const off = smoothing / classes;
  const [low, high] = [Math.fround(off), Math.fround(1 - smoothing + off)];
  const mixed = (a: number, b: number) => Math.fround(a * mine) + Math.fround(b * theirs);
  targets.fill(mixed(low, low));
  for (let row = 0; row < rows; row++) {
    const [own, other] = [labels[row]!, labels[rows - 1 - row]!];
    targets[row * classes + own] = mixed(high, own === other ? high : low);
    if (own !== other) targets[row * classes + other] = mixed(low, high);
  }
}
