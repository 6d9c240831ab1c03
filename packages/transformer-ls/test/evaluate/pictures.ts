// Folders of tiny pictures, and models that always answer the same.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { TensorEntry } from '@transformer-ls/formats';
import sharp from 'sharp';
import { type ClassName, classNamesText } from '../../src/weights/class-names.js';
import { writeModelFolder } from '../../src/weights/model-folder.js';
import { tinyVilLs, tinyVilLsEntries } from '../import/saved-models.js';

let bytes: Promise<Buffer> | undefined;

/** One small picture; what it shows does not matter to a model that always answers the same. */
const pictureBytes = () => {
  bytes ??= sharp(new Uint8Array(12 * 10 * 3).fill(90), { raw: { width: 12, height: 10, channels: 3 } })
    .png()
    .toBuffer();
  return bytes;
};

export async function writePictures(folder: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), await pictureBytes());
  }
}

/** So many pictures in a folder for each class. */
export async function writeClasses(folder: string, counts: Readonly<Record<string, number>>): Promise<void> {
  const names = Object.entries(counts).flatMap(([name, count]) =>
    Array.from({ length: count }, (_, i) => `${name}/${i}.png`),
  );
  await writePictures(folder, names);
}

/** A model whose logits are these whatever it sees. */
export async function writeConstantModel(
  folder: string,
  logits: readonly number[],
  classes: readonly ClassName[] | undefined,
): Promise<string> {
  const config = tinyVilLs({ classes: logits.length });
  const tensors = tinyVilLsEntries(config);
  const of = (name: string): TensorEntry => tensors.get(name)!;
  tensors.set('head.weight', { ...of('head.weight'), data: new Uint8Array(of('head.weight').data.length) });
  tensors.set('head.bias', { ...of('head.bias'), data: new Uint8Array(Float32Array.from(logits).buffer) });
  const texts = new Map(classes === undefined ? [] : [['classes.txt', classNamesText(classes)]]);
  await writeModelFolder(folder, { config, tensors, texts }, true);
  return folder;
}
