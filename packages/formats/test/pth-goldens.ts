// Files of torch.save beside what they hold: `x.pth`, `x.legacy.pth` and `x.expected.safetensors` with the tensors under their paths
// (`f32:<path>`: widened) and, where its metadata says so, the whole object as JSON.

import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import {
  bytesSource,
  openPth,
  PickleDict,
  type PickleValue,
  PthNamespace,
  PthTensor,
  parseSafetensors,
  toFloat32,
} from '../src/index.js';
import { JsonNumber, type JsonValue, parseJson } from '../src/json.js';
import { elementTypes } from '../src/pth/element-types.js';

export async function expectGolden(folder: string, file: string): Promise<void> {
  const pth = await openPth(bytesSource(readFileSync(`${folder}/${file}`)));
  const name = file.replace(/(?:\.legacy)?\.pth$/, '');
  const expected = parseSafetensors(readFileSync(`${folder}/${name}.expected.safetensors`));
  const paths = [...expected.tensors.keys()].filter((path) => !path.startsWith('f32:'));
  expect([...pth.tensors.keys()].sort()).toEqual(paths.sort());
  for (const [path, entry] of expected.tensors) {
    const read = await pth.read(path.replace('f32:', ''));
    // As numbers: the conversion keeps no bits of a NaN.
    if (path.startsWith('f32:')) expect([...toFloat32(read)]).toEqual([...toFloat32(entry)]);
    else expect({ ...read, data: bytesOf(read.data) }).toEqual({ ...entry, data: bytesOf(entry.data) });
  }
  const { object } = expected.metadata;
  if (object !== undefined) expect(plain(pth.object)).toEqual(plainJson(parseJson(object)));
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Uint8Array) =>
  Buffer.from(buffer, byteOffset, byteLength);

const torchNames = new Map(Array.from(elementTypes.values(), ({ name, dtype }) => [dtype, name]));

function plain(value: PickleValue): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof PickleDict)
    return Object.fromEntries(Array.from(value.entries(), ([key, member]) => [String(key), plain(member)]));
  if (value instanceof PthNamespace) return { __namespace__: plain(value.entries) };
  if (!(value instanceof PthTensor)) return value;
  return { __tensor__: torchNames.get(value.dtype), shape: value.shape, stride: value.stride };
}

function plainJson(value: JsonValue): unknown {
  if (value instanceof JsonNumber) {
    const number = Number(value.text);
    return /^-?\d+$/.test(value.text) && !Number.isSafeInteger(number) ? BigInt(value.text) : number;
  }
  if (Array.isArray(value)) return value.map(plainJson);
  if (!(value instanceof Map)) return value;
  return Object.fromEntries(Array.from(value, ([key, member]) => [key, plainJson(member)]));
}
