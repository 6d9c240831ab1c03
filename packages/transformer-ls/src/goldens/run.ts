/** Runs golden files through the public modules. */
import { readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { runBidirectionalCase, runClassifierCase } from './bidirectional-cases.js';
import { runAttentionCase, runLanguageModelCase } from './causal-cases.js';
import type { CaseResult } from './comparison.js';
import { type GoldenFile, readGoldenFile } from './golden-file.js';
import { runCvtCase, runGridAttentionCase, runVisionModelCase } from './vision-cases.js';

/** What runs each family. */
const RUNNERS: Record<string, (file: GoldenFile) => CaseResult> = {
  ar_attention: runAttentionCase,
  lm: runLanguageModelCase,
  bi_attention: runBidirectionalCase,
  lra_model: runClassifierCase,
  lra_model_dual: runClassifierCase,
  im_attention: runGridAttentionCase,
  msvit: runVisionModelCase,
  cvt: runCvtCase,
};

/** The golden files that a list of files and folders stands for, folders one level deep. @throws Error where one does not exist */
export function goldenPaths(places: readonly string[]): string[] {
  return places.flatMap((place) => {
    const found = statSync(place, { throwIfNoEntry: false });
    if (found === undefined) throw new Error(`${place}: no such file or folder`);
    if (!found.isDirectory()) return [place];
    const names = readdirSync(place).filter((name) => name.endsWith('.safetensors'));
    return names.sort().map((name) => join(place, name));
  });
}

/** Runs one golden file; whatever goes wrong becomes a failed case. */
export function runGolden(path: string): CaseResult {
  try {
    const file = readGoldenFile(path);
    const runner = RUNNERS[file.family];
    if (runner === undefined) throw new Error(`unknown family ${file.family}`);
    return runner(file);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return failure(path, message.replaceAll('\n', ' '));
  }
}

function failure(path: string, problem: string): CaseResult {
  return {
    name: basename(path, '.safetensors'),
    status: 'fail',
    outputError: Number.NaN,
    gradientError: Number.NaN,
    tolerance: Number.NaN,
    problems: [problem],
  };
}
