/** Named sizes of all vision models. */
import type { ImageClassifierConfig } from '@transformer-ls/formats';
import { unknownName } from '../language-model/presets.js';
import {
  type VilLsPresetName,
  type VilLsPresetOptions,
  vilLsPreset,
  vilLsPresetNames,
} from '../vil-ls/presets.js';

export type VisionPresetName = VilLsPresetName;

export type VisionPresetOptions = VilLsPresetOptions;

export const visionPresetNames: readonly VisionPresetName[] = [...vilLsPresetNames];

/**
 * The complete configuration of a preset.
 *
 * @throws ConfigError for a name that does not exist, with the nearest one; for options that this model does not take
 */
export function visionPreset(name: string, options: VisionPresetOptions = {}): ImageClassifierConfig {
  const known = visionPresetNames.find((one) => one === name);
  if (known === undefined) throw unknownName('vision model', name, visionPresetNames);
  return vilLsPreset(known, options);
}
