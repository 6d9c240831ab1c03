// Run folders and exported models as files, without any training.
import { createHash } from 'node:crypto';
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  type EvaluationRecord,
  EXPORT_FORMAT,
  EXPORT_VERSION,
  formatMetricsLine,
  type MetricsRecord,
  type TrainingConfig,
  type TrainRecord,
} from '@transformer-ls/formats';
import { recipe } from '../../src/train/recipes.js';

export const textRecipe: TrainingConfig = { ...recipe('text/small'), maxSteps: 100, maxTokens: null };

export function trained(step: number, changes: Partial<TrainRecord> = {}): TrainRecord {
  return {
    type: 'train',
    step,
    tokens: 10 * step,
    loss: 2,
    bpc: 3,
    accuracy: null,
    learningRate: 1e-3,
    gradNorm: 1,
    tokensPerSecond: 100,
    seconds: step,
    memoryBytes: 1000,
    ...changes,
  };
}

export function evaluated(step: number, bpc: number, best: boolean): EvaluationRecord {
  return {
    type: 'evaluation',
    step,
    split: 'valid',
    tokens: 100,
    loss: bpc * Math.LN2,
    bpc,
    accuracy: null,
    top5: null,
    seconds: 1,
    best,
  };
}

export function linesOf(records: readonly MetricsRecord[]): string {
  return records.map(formatMetricsLine).join('');
}

/** Steps from `first` to `last`. */
export function steps(first: number, last: number): TrainRecord[] {
  return Array.from({ length: last - first + 1 }, (_, i) => trained(first + i));
}

export function write(path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

export function writeRun(
  folder: string,
  records: readonly MetricsRecord[] = steps(1, 3),
  config: object = textRecipe,
): string {
  write(join(folder, 'config.json'), JSON.stringify(config));
  write(join(folder, 'metrics.jsonl'), linesOf(records));
  return folder;
}

export function append(folder: string, records: readonly MetricsRecord[]): void {
  appendFileSync(join(folder, 'metrics.jsonl'), linesOf(records));
}

/** An exported model whose graph is nothing that any engine would take. */
export function writeModel(folder: string, name: string, changes: object = {}): string {
  const files = ['step.onnx', 'block.onnx', 'weights.bin'].map((file) => {
    const bytes = new TextEncoder().encode(`${name} ${file}`.repeat(1000));
    write(join(folder, file), bytes);
    return { name: file, bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
  });
  const manifest = {
    format: EXPORT_FORMAT,
    version: EXPORT_VERSION,
    name,
    weights: 'float32',
    files,
    provenance: { source: name, weightsSha256: '0'.repeat(64), exported: 'by a test' },
    check: { largestError: 0, compared: ['nothing'] },
    kind: 'language-model',
    model: textRecipe.model,
    vocabulary: { kind: 'bytes' },
    step: 'step.onnx',
    block: 'block.onnx',
    blockTokens: 16,
    ...changes,
  };
  write(join(folder, 'manifest.json'), JSON.stringify(manifest));
  return folder;
}

/** A built page of three files. */
export function writePage(folder: string): string {
  write(join(folder, 'index.html'), '<!doctype html><title>A page</title>');
  write(join(folder, 'assets', 'index-AbCd1234.js'), 'console.log(1)');
  write(join(folder, 'assets', 'engine-AbCd1234.wasm'), new Uint8Array([0, 97, 115, 109]));
  return folder;
}
