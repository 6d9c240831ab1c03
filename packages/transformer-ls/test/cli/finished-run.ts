/** What a training has come to: two that came to the same are the same bytes. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';

/** Step and loss of every record, in the order of the file. */
export function lossesOf(run: string): [step: number, loss: number][] {
  return readFileSync(join(run, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line): { type: string; step: number; loss: number } => JSON.parse(line))
    .filter(({ type }) => type === 'train')
    .map(({ step, loss }) => [step, loss]);
}

/** The same losses, weights, moments, memories and random numbers at step `step`; no step missing or twice. */
export function expectTheSame(run: string, undisturbed: string, step: number): void {
  const losses = lossesOf(run);
  expect(losses.map(([at]) => at)).toEqual(Array.from({ length: step }, (_, i) => i + 1));
  expect(losses).toEqual(lossesOf(undisturbed).slice(0, step));
  const name = `checkpoints/step-${String(step).padStart(8, '0')}`;
  const files = readdirSync(join(undisturbed, name)).filter((file) => file.endsWith('.safetensors'));
  expect(files.length).toBeGreaterThan(1);
  for (const file of files) {
    const [a, b] = [run, undisturbed].map((folder) => readFileSync(join(folder, name, file)));
    expect(Buffer.compare(a!, b!), file).toBe(0);
  }
}
