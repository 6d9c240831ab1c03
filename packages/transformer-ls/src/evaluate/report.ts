/** An evaluation as a record with everything needed to repeat it, as a table and as a picture. */
import { cpus, totalmem } from 'node:os';
import { buildInfo, getNumThreads } from '@transformer-ls/torch';
import { type ContextPoint, contextChart } from '../charts/curves.js';
import { publishedBlockLength } from '../data/evaluation-blocks.js';
import type { JsonObject } from '../run/json.js';
import { formatBytes, formatDuration, formatInteger, formatRate } from '../text/numbers.js';
import type { CompressorScore } from './compressors.js';
import { type EvaluationScores, publishedMemoryLength } from './language-model.js';

/** What was evaluated, and how it came out. */
export interface Evaluated {
  readonly model: {
    /** As it was named on the command line. */
    readonly path: string;
    /** Updates done; null where the weights do not say. */
    readonly step: number | null;
    readonly parameters: number;
    readonly mode: 'consistent' | 'reference';
    readonly memoryLength: number;
  };
  readonly data: {
    readonly name: string;
    readonly split: string;
    readonly bytes: number;
    readonly sha256: string | null;
    /** What a result on this corpus must not be called. */
    readonly note: string;
  };
  readonly scores: EvaluationScores;
  readonly compressors: readonly CompressorScore[];
  /** Bits per character against context length; null where it was not measured. */
  readonly context: readonly ContextPoint[] | null;
}

/** Whether block and memory are those of the published protocol, or cannot change its result. */
export function followsPublishedProtocol({ model, scores }: Evaluated): boolean {
  const sameResult = model.mode === 'consistent' || scores.blockLength === publishedBlockLength;
  return sameResult && model.memoryLength === publishedMemoryLength && scores.complete;
}

/** The content of `evaluation.json`. */
export function evaluationRecord(evaluated: Evaluated, now: Date): JsonObject {
  const { model, data, scores, compressors, context } = evaluated;
  return {
    format: 'transformer-ls evaluation',
    version: 1,
    model,
    data,
    protocol: {
      published: followsPublishedProtocol(evaluated),
      blockLength: scores.blockLength,
      memoryLength: model.memoryLength,
      complete: scores.complete,
    },
    publishedBpc: finiteOrNull(scores.publishedBpc),
    publishedTokens: scores.publishedTokens,
    bpc: finiteOrNull(scores.bpc),
    loss: finiteOrNull(scores.loss),
    tokens: scores.tokens,
    seconds: scores.seconds,
    tokensPerSecond: scores.tokensPerSecond,
    compressors: compressors.map((one) => ({ ...one })),
    context: context === null ? null : context.map((point) => ({ ...point })),
    hardware: hardware(),
    date: now.toISOString(),
  };
}

/** The same for people. */
export function evaluationTable(evaluated: Evaluated): string {
  const { model, data, scores, compressors, context } = evaluated;
  const step = model.step === null ? '' : `, step ${formatInteger(model.step)}`;
  const rows: [string, string, string][] = [
    ['bits per character, published', scores.publishedBpc.toFixed(4), 'over 255 of every 256 tokens'],
    ['bits per character, all tokens', scores.bpc.toFixed(4), `over ${formatInteger(scores.tokens)} tokens`],
    ...compressors.map(({ name, bpc, compressedBytes }): [string, string, string] => [
      name,
      bpc.toFixed(4),
      `${formatInteger(compressedBytes)} bytes for the same text`,
    ]),
    ...(context ?? []).map(({ contextLength, bpc }): [string, string, string] => [
      `with ${formatInteger(contextLength)} tokens of context`,
      bpc.toFixed(4),
      'on a sample',
    ]),
  ];
  const widest = Math.max(...rows.map(([name]) => name.length));
  return [
    `${model.path}${step}, on ${data.name} ${data.split} (${formatInteger(data.bytes)} bytes)`,
    `memory ${formatInteger(model.memoryLength)} tokens, ${blockLine(evaluated)}`,
    '',
    ...rows.map(([name, value, remark]) => `  ${name.padEnd(widest)}  ${value}  ${remark}`),
    '',
    `${formatRate(scores.tokensPerSecond, 'tok')}, ${formatDuration(scores.seconds)} on ${hardwareLine()}`,
    `${data.name}: ${data.note}`,
    ...(followsPublishedProtocol(evaluated) ? [] : [deviation(evaluated)]),
  ].join('\n');
}

/** The content of `evaluation.svg`. */
export function evaluationChart({ model, data, compressors, context }: Evaluated): string {
  const references = compressors.map(({ name, bpc }) => ({ label: name, y: bpc }));
  const title = `Bits per character against context: ${model.path} on ${data.name} ${data.split}`;
  return contextChart(
    title,
    [{ name: 'tokens with this much text before them', points: context ?? [] }],
    references,
  );
}

function blockLine({ model, scores }: Evaluated): string {
  const block = `blocks of ${formatInteger(scores.blockLength)}`;
  return model.mode === 'consistent' ? `${block} (cannot change the result in consistent mode)` : block;
}

/** Which settings differ from the published ones. */
function deviation({ model, scores }: Evaluated): string {
  const differences = [
    scores.complete ? undefined : 'a part of the split only',
    model.memoryLength === publishedMemoryLength
      ? undefined
      : `memory ${formatInteger(model.memoryLength)} instead of ${formatInteger(publishedMemoryLength)}`,
    model.mode === 'consistent' || scores.blockLength === publishedBlockLength
      ? undefined
      : `blocks of ${scores.blockLength} instead of ${publishedBlockLength}`,
  ].filter((difference) => difference !== undefined);
  return `Not the published protocol: ${differences.join(', ')}.`;
}

function hardware(): JsonObject {
  return {
    cpu: cpuName(),
    cores: cpus().length,
    threads: getNumThreads(),
    memoryBytes: totalmem(),
    libtorch: buildInfo().version,
    node: process.versions.node,
  };
}

/** `AMD EPYC 7B13, 2 threads, 7.8 GiB, libtorch 2.9.1`. */
export function hardwareLine(): string {
  return `${cpuName()}, ${getNumThreads()} threads, ${formatBytes(totalmem())}, libtorch ${buildInfo().version}`;
}

function cpuName(): string {
  return cpus()[0]?.model.trim() || 'unknown CPU';
}

/** JSON has no NaN; a model whose weights are broken has no score. */
function finiteOrNull(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}
