// Files of torch.save made of models here, every part of which can be wrong.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  fromFloat32,
  parseConfig,
  type TensorEntry,
  toFloat32,
  type VilLsConfig,
  vilLsSchema,
} from '@transformer-ls/formats';
import { type Module, manualSeed, scope } from '@transformer-ls/torch';
import { named, storage, tensor, text, zipFile } from '../../../formats/test/pth-writer.js';
import { parseArchString } from '../../src/models/vil-ls/arch-string.js';
import { createImageClassifier } from '../../src/models/vision/image-classifier.js';
import { entryOfTensor } from '../../src/weights/tensor-entries.js';

const STORAGES = {
  F64: 'Double',
  F32: 'Float',
  F16: 'Half',
  BF16: 'BFloat16',
  I64: 'Long',
  I32: 'Int',
} as const;

export type Entries = Map<string, TensorEntry>;

/** The state of a model, to be changed and saved. */
export function entriesOf(model: Module): Entries {
  return new Map([...model.stateDict()].map(([name, value]) => [name, entryOfTensor(value)]));
}

/** `{ [container]: { prefix + name: tensor }, ...others }`, or without a container the names themselves; others are pickled already. */
export function savedPth(
  entries: Entries,
  {
    container = null,
    prefix = '',
    others = {},
  }: { container?: string | null; prefix?: string; others?: Record<string, string> } = {},
): Uint8Array {
  const storages = [...entries.values()].map(({ data, shape }, i) => {
    const elements = shape.reduce((product, size) => product * size, 1);
    return { key: String(i), elements, data };
  });
  const members: Record<string, string> = {};
  for (const [i, [name, { dtype, shape }]] of [...entries].entries()) {
    const type = STORAGES[dtype as keyof typeof STORAGES];
    members[prefix + name] = tensor(storage(type, String(i), storages[i]!.elements), shape, rowMajor(shape));
  }
  const state = named(members);
  const object =
    container === null ? named({ ...members, ...others }) : named({ ...others, [container]: state });
  return zipFile(object, storages);
}

function rowMajor(shape: readonly number[]): number[] {
  return shape.map((_, i) => shape.slice(i + 1).reduce((product, size) => product * size, 1));
}

export const inHalf = (entry: TensorEntry): TensorEntry =>
  entry.dtype === 'F32' ? fromFloat32(toFloat32(entry), 'F16', entry.shape) : entry;

export function zerosEntry(shape: number[], dtype: 'F32' | 'I32' | 'I64' = 'F32'): TensorEntry {
  const elements = shape.reduce((product, size) => product * size, 1);
  return { dtype, shape, data: new Uint8Array(elements * (dtype === 'I64' ? 8 : 4)) };
}

export function written(folder: string, name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

export const TINY_ARCH =
  'l1,h2,d8,n1,s1,g1,p4,f2,a0,r2_l2,h2,d12,n2,s1,g1,p2,f2,a0,r3_l3,h3,d12,n1,s0,g1,p2,f2,a0,r3_l4,h2,d16,n1,s0,g0,p1,f2,a0,r3';

/** Of 5 classes at 32 x 32, in reference mode. */
export function tinyVilLs(changes: Partial<VilLsConfig> = {}, arch = TINY_ARCH): VilLsConfig {
  const mode = changes.mode ?? 'reference';
  const stages = parseArchString(arch, mode);
  const config = { kind: 'vil-ls', mode, imageHeight: 32, imageWidth: 32, classes: 5, stages, ...changes };
  return parseConfig(vilLsSchema, config, 'model');
}

export function tinyVilLsEntries(config = tinyVilLs()): Entries {
  manualSeed(3);
  const model = scope(() => createImageClassifier(config));
  const entries = entriesOf(model);
  model.dispose();
  return entries;
}

export { text };
