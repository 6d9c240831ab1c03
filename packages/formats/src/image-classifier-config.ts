// What all models that give an image one of several classes have in common.

import { type CvtLsConfig, cvtLsSchema } from './cvt-ls-config.js';
import { type VilLsConfig, vilLsSchema } from './vil-ls-config.js';

/** Schemas of vision models by their kind. */
export const imageClassifierSchemas = { 'vil-ls': vilLsSchema, 'cvt-ls': cvtLsSchema } as const;

export type ImageClassifierConfig = VilLsConfig | CvtLsConfig;

export function isImageClassifier<C extends { readonly kind: string }>(
  config: C,
): config is Extract<C, { kind: keyof typeof imageClassifierSchemas }> {
  return Object.hasOwn(imageClassifierSchemas, config.kind);
}
