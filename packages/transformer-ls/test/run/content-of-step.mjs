/** Checkpoint content whose every byte follows from `step`: about 130 kB in three tensor files. */
export function contentOfStep(step) {
  return {
    step,
    files: new Map([
      ['model.safetensors', { tensors: tensors(step, 60_000), metadata: { step: String(step) } }],
      ['optimizer.safetensors', { tensors: tensors(step + 1, 60_000) }],
      ['memory.safetensors', { tensors: tensors(step + 2, 10_000) }],
    ]),
    state: { step, tokens: step * 1024, rng: Buffer.from(`state ${step}`).toString('base64'), bestBpc: null },
  };
}

function tensors(seed, bytes) {
  const data = new Uint8Array(bytes);
  let state = (seed * 2654435761) >>> 0;
  for (let index = 0; index < bytes; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[index] = state >>> 24;
  }
  return new Map([
    ['layer.weight', { dtype: 'F32', shape: [bytes / 8], data: data.subarray(0, bytes / 2) }],
    ['layer.bias', { dtype: 'F32', shape: [bytes / 8], data: () => data.subarray(bytes / 2) }],
  ]);
}
