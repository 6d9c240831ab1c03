/** One golden file: a case of the published code with its inputs, outputs and gradients. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { parseSafetensors, type TensorEntry } from '@transformer-ls/formats';
import type { Tensor } from '@transformer-ls/torch';
import { tensorOfEntry } from '../weights/tensor-entries.js';

export interface GoldenFile {
  readonly name: string;
  readonly family: string;
  readonly dtype: 'float32' | 'float64';
  readonly config: Readonly<Record<string, unknown>>;
  /** True where parameters and inputs come from the integer hash (hash-rule.ts) instead of the file. */
  readonly byRule: boolean;
  /** Parameters that have no gradient at all. */
  readonly noGradParameters: readonly string[];
  readonly tensors: ReadonlyMap<string, TensorEntry>;
}

/** @throws Error in one line where the file cannot be read, is damaged, or is no golden file */
export function readGoldenFile(path: string): GoldenFile {
  const { metadata, tensors } = parseSafetensors(readFileSync(path));
  const { family, dtype, config } = metadata;
  if (family === undefined || config === undefined)
    throw new Error('expected a golden file with "family" and "config" in its metadata');
  if (dtype !== 'float32' && dtype !== 'float64')
    throw new Error(`expected dtype float32 or float64 in the metadata, received ${dtype}`);
  return {
    name: basename(path, '.safetensors'),
    family,
    dtype,
    config: JSON.parse(config),
    byRule: metadata.param_rule === 'hash-rule-1',
    noGradParameters: JSON.parse(metadata.no_grad_params ?? '[]'),
    tensors,
  };
}

/** A tensor of the file, or null where it has none of this name. */
export function goldenTensor(file: GoldenFile, key: string): Tensor | null {
  const entry = file.tensors.get(key);
  return entry === undefined ? null : tensorOfEntry(entry, key);
}

/** A tensor that the file must have. */
export function requiredTensor(file: GoldenFile, key: string): Tensor {
  const found = goldenTensor(file, key);
  if (found === null) throw new Error(`the file has no tensor ${key}`);
  return found;
}

/** The tensors whose key starts with `prefix`, by the rest of the key. */
export function tensorsUnder(file: GoldenFile, prefix: string): Map<string, Tensor> {
  const keys = [...file.tensors.keys()].filter((key) => key.startsWith(prefix));
  return new Map(keys.map((key) => [key.slice(prefix.length), requiredTensor(file, key)]));
}

/** A setting that must be a number, a boolean, or a list of numbers. */
export function numberSetting(file: GoldenFile, key: string): number {
  const value = file.config[key];
  if (typeof value !== 'number')
    throw new Error(`config.${key}: expected a number, received ${JSON.stringify(value)}`);
  return value;
}
