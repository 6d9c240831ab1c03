/** What the processes of our side have in common: tensors in files, memory held, and the rate of a product. */
import { readFileSync, writeFileSync } from 'node:fs';
import { encodeSafetensors, parseSafetensors } from '../packages/formats/dist/index.js';
import * as torch from '../packages/torch/dist/index.js';
import { entryOfTensor, tensorOfEntry } from '../packages/transformer-ls/dist/weights/tensor-entries.js';

/** Tensors by name. */
export function saveTensors(tensors, path) {
  const entries = [...tensors].map(([name, value]) => [name, entryOfTensor(value)]);
  writeFileSync(path, encodeSafetensors(new Map(entries)));
}

export function readTensors(path) {
  const { tensors } = parseSafetensors(readFileSync(path));
  return new Map([...tensors].map(([name, entry]) => [name, tensorOfEntry(entry, name)]));
}

/** A field of the process's status, in MiB. */
export function statusMib(field) {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync('/proc/self/status', 'utf8'));
  return Number(match[1]) / 1024;
}

/** The highest value, VmHWM, begins anew at what is held now. */
export function restartPeak() {
  torch.releaseCachedMemory();
  writeFileSync('/proc/self/clear_refs', '5');
}

/** GFLOP/s of a square product. */
export function productGflops(n = 1024) {
  return torch.scope(() => {
    const [a, b] = [torch.rand([n, n]), torch.rand([n, n])];
    const start = process.hrtime.bigint();
    a.matmul(b);
    return (2 * n ** 3) / Number(process.hrtime.bigint() - start);
  });
}
