/** Named sizes of all vision models. */
import type { ImageClassifierConfig } from '@transformer-ls/formats';
import { type CvtLsPresetName, cvtLsPreset, cvtLsPresetNames } from '../cvt-ls/presets.js';
import { unknownName } from '../language-model/presets.js';
import { type VilLsPresetName, vilLsPreset, vilLsPresetNames } from '../vil-ls/presets.js';

export type VisionPresetName = VilLsPresetName | CvtLsPresetName;

export interface VisionPresetOptions {
  /** Default consistent; CvT-LS has no other. */
  readonly mode?: 'consistent' | 'reference';
  /** Default 1,000. */
  readonly classes?: number;
  /** Rows and columns of pixels. Default: those that the preset was published for. */
  readonly imageSize?: number;
}

export const visionPresetNames: readonly VisionPresetName[] = [...vilLsPresetNames, ...cvtLsPresetNames];

/**
 * The complete configuration of a preset.
 *
 * @throws ConfigError for a name that does not exist, with the nearest one; for options that this model does not take
 */
export function visionPreset(name: string, options: VisionPresetOptions = {}): ImageClassifierConfig {
  if (isVilLs(name)) return vilLsPreset(name, options);
  if (isCvtLs(name)) return cvtLsPreset(name, options);
  throw unknownName('vision model', name, visionPresetNames);
}

function isVilLs(name: string): name is VilLsPresetName {
  return vilLsPresetNames.some((one) => one === name);
}

function isCvtLs(name: string): name is CvtLsPresetName {
  return cvtLsPresetNames.some((one) => one === name);
}
