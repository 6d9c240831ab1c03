/** What the workers of benches/training-step.mjs are given: the same job and the same files for every side. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CASES } from './training-step.cases.mjs';

/** Steps that the data are for; then they begin anew. */
const STEPS = 8;

/** The job of a case, with its files in a folder. */
export function trainingJob(name, folder) {
  return {
    ...CASES[name],
    weights: join(folder, 'weights.safetensors'),
    data: join(folder, 'ids.bin'),
    images: join(folder, 'images.bin'),
    steps: STEPS,
    learningRate: 2.5e-4,
    clipNorm: 1,
  };
}

/**
 * What every side reads. int64: (lanes, segments*T + 1) ids, or for a classifier (steps*B, L + 1), each row's label last, or for a vision
 * model (steps*B) labels, with float32 images (steps*B, 3, height, width) in a file of their own.
 */
export function writeData({ data, images, ...job }) {
  const next = randomWhole();
  const write = (path, values) => writeFileSync(path, new Uint8Array(values.buffer));
  const { kind } = job.config;
  if (kind === 'language-model') write(data, streams(job, next));
  else if (kind === 'sequence-classifier') write(data, examples(job, next));
  else {
    write(data, labels(job, next));
    write(images, pictures(job, next));
  }
}

function labels({ config, batchSize }, next) {
  return BigInt64Array.from({ length: STEPS * batchSize }, () => BigInt(next(config.classes)));
}

/** Numbers from -2 to 2, as normalised pixels are. */
function pictures({ config, batchSize }, next) {
  const { channels, imageHeight, imageWidth } = config;
  const length = STEPS * batchSize * channels * imageHeight * imageWidth;
  return Float32Array.from({ length }, () => next(4001) / 1000 - 2);
}

/** A function that gives whole numbers below its argument, from a small linear congruential generator. */
export function randomWhole() {
  let state = 1;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 16) % limit;
  };
}

function streams({ config, segmentLength, batchSize }, next) {
  return BigInt64Array.from({ length: batchSize * (STEPS * segmentLength + 1) }, () =>
    BigInt(next(config.vocabularySize)),
  );
}

/** Sequences of all lengths with 0 behind their end. */
function examples({ config, batchSize, shortest }, next) {
  const { maxLength: L, vocabularySize, classes } = config;
  const data = new BigInt64Array(STEPS * batchSize * (L + 1));
  for (let row = 0; row < STEPS * batchSize; row++) {
    const length = shortest + next(L - shortest);
    for (let i = 0; i < length; i++) data[row * (L + 1) + i] = BigInt(1 + next(vocabularySize - 1));
    data[row * (L + 1) + L] = BigInt(next(classes));
  }
  return data;
}
