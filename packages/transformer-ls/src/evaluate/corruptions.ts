/**
 * ImageNet-C (Hendrycks and Dietterich 2019): the validation pictures under 15 corruptions of 5 severities. Errors of a corruption are
 * averaged over the severities and divided by AlexNet's; the mean of the 15 is the mCE.
 *
 * AlexNet's errors: as the repository hendrycks/robustness gives them, the same in OpenMMLab's mmcls.
 */
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { DataError, fileError } from '../data/errors.js';

/** Error of AlexNet, averaged over the severities. */
export const alexnetErrors = {
  gaussian_noise: 0.886428,
  shot_noise: 0.894468,
  impulse_noise: 0.92264,
  defocus_blur: 0.81988,
  glass_blur: 0.826268,
  motion_blur: 0.785948,
  zoom_blur: 0.79836,
  snow: 0.866816,
  frost: 0.826572,
  fog: 0.819324,
  brightness: 0.564592,
  contrast: 0.853204,
  elastic_transform: 0.646056,
  pixelate: 0.71784,
  jpeg_compression: 0.6065,
} as const;

export type CorruptionName = keyof typeof alexnetErrors;

export const corruptionNames = Object.keys(alexnetErrors) as readonly CorruptionName[];

export const severities = [1, 2, 3, 4, 5] as const;

export interface CorruptionErrors {
  readonly corruption: CorruptionName;
  /** Share of wrong answers, by severity from 1 to 5. */
  readonly errors: readonly number[];
  readonly meanError: number;
  /** meanError over AlexNet's. */
  readonly corruptionError: number;
}

/** @param errors of severities 1 to 5 */
export function corruptionErrors(corruption: CorruptionName, errors: readonly number[]): CorruptionErrors {
  const meanError = errors.reduce((sum, error) => sum + error, 0) / errors.length;
  return { corruption, errors, meanError, corruptionError: meanError / alexnetErrors[corruption] };
}

/** The mCE, a share of AlexNet's error; null where a corruption is missing. */
export function meanCorruptionError(all: readonly CorruptionErrors[]): number | null {
  if (corruptionNames.some((name) => !all.some(({ corruption }) => corruption === name))) return null;
  return all.reduce((sum, { corruptionError }) => sum + corruptionError, 0) / all.length;
}

/** The five folders of a corruption, from severity 1 to 5. */
export interface CorruptionFolders {
  readonly corruption: CorruptionName;
  readonly folders: readonly string[];
}

/** Corruptions lie in the folder, or one deeper as they are packed (`noise/gaussian_noise`). @throws DataError in one line */
export async function findCorruptions(path: string): Promise<CorruptionFolders[]> {
  const places = new Map<string, string>();
  for (const outer of await foldersIn(path)) {
    if (isCorruption(basename(outer))) places.set(basename(outer), outer);
    else
      for (const inner of await foldersIn(outer))
        if (isCorruption(basename(inner))) places.set(basename(inner), inner);
  }
  if (places.size === 0)
    throw new DataError(
      `${path}: expected folders of corruptions such as gaussian_noise/1/n01440764, found none of ${corruptionNames.join(', ')}`,
    );
  const found: CorruptionFolders[] = [];
  for (const corruption of corruptionNames) {
    const place = places.get(corruption);
    if (place === undefined) continue;
    const names = (await foldersIn(place)).map((folder) => basename(folder));
    const missing = severities.filter((severity) => !names.includes(String(severity)));
    if (missing.length > 0)
      throw new DataError(
        `${place}: expected folders 1 to 5 of the severities, found no ${missing.join(', ')}`,
      );
    found.push({ corruption, folders: severities.map((severity) => join(place, String(severity))) });
  }
  return found;
}

function isCorruption(name: string): name is CorruptionName {
  return corruptionNames.some((one) => one === name);
}

async function foldersIn(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch((error) => {
    throw fileError('read', path, error);
  });
  return entries
    .filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
    .map(({ name }) => join(path, name));
}
