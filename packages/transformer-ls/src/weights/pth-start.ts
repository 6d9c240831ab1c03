/** Telling files of torch.save from weight files by how they begin. */
import type { ByteSource } from '@transformer-ls/formats';
import { WeightsError } from './weights-error.js';

const START_BYTES = 9;
const ZIP_START = [0x50, 0x4b, 0x03, 0x04];
const PICKLE_START = 0x80;
const BRACE = 0x7b;

/** Whether it can be a file of torch.save: a zip archive or a pickle, and not the length of a safetensors header before its brace. */
export async function isPth(source: ByteSource): Promise<boolean> {
  if (source.size < START_BYTES) return false;
  const start = await source.read(0, START_BYTES);
  const isZip = ZIP_START.every((byte, i) => start[i] === byte);
  return (isZip || start[0] === PICKLE_START) && start[START_BYTES - 1] !== BRACE;
}

/** @throws WeightsError that says what to do where somebody gives a file of torch.save for a model */
export async function refusePth(source: ByteSource, path: string): Promise<void> {
  if (await isPth(source))
    throw new WeightsError(
      `${path}: is a PyTorch file, expected a model; make one of it first: transformer-ls import ${path} --out <folder>`,
    );
}
