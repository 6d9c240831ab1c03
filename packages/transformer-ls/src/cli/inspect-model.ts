/** What a run, checkpoint or model folder holds. */
import { join } from 'node:path';
import {
  type ClassifierTrainingConfig,
  isImageClassifier,
  type MetricsRecord,
  openSafetensors,
  parseMetrics,
} from '@transformer-ls/formats';
import type { Module } from '@transformer-ls/torch';
import { mechanismText } from '../attention/mechanism-text.js';
import { classifierCost, forwardCost, imageCost } from '../evaluate/cost.js';
import { loadLanguageModel } from '../models/language-model/weights.js';
import { loadClassifier } from '../models/sequence-classifier/weights.js';
import { loadImageClassifier } from '../models/vision/weights.js';
import { listCheckpoints, verifyCheckpoint } from '../run/checkpoint.js';
import { readSmallFile } from '../run/durable.js';
import { fileSource } from '../run/file-source.js';
import { nodeFileSystem } from '../run/file-system.js';
import { LARGEST_METRICS, METRICS_NAME } from '../run/metrics-log.js';
import { BEST_NAME, CHECKPOINTS_NAME } from '../run/run-folder.js';
import { formatBytes, formatInteger } from '../text/numbers.js';
import type { ClassName } from '../weights/class-names.js';
import { findModel, type ModelConfig } from '../weights/model-place.js';
import { summariseTensors, type TensorSummary } from '../weights/tensor-summary.js';
import { newestOfEach } from './inspect-files.js';
import type { Inspection } from './inspect-report.js';
import { visionStages } from './vision-stages.js';

type Facts = Inspection['facts'];
type Look = Pick<Inspection, 'facts' | 'parts' | 'stages'>;

export async function inspectModel(path: string): Promise<Inspection> {
  const { weightsPath, config, training, run, step, skipped } = await findModel(path);
  const isRun = run === path;
  const records = isRun ? await metricsOf(path) : [];
  const { facts, parts, stages } = await lookFor(config)(path, records);
  return {
    kind: isRun ? 'run' : step === undefined ? 'model' : 'checkpoint',
    path,
    facts: {
      ...(training === undefined ? {} : { recipe: training.recipe, data: training.data.name }),
      weights: weightsPath,
      ...(step === undefined ? {} : { step }),
      ...facts,
      ...(skipped.length === 0 ? {} : { 'checkpoints passed over': skipped.length }),
    },
    ...(stages === undefined ? {} : { stages }),
    ...(parts === undefined ? {} : { parts }),
    config,
    tensors: await tensorsOf(weightsPath),
    ...(isRun ? { checkpoints: await checkpointsOf(path), newest: newestOfEach(records) } : {}),
  };
}

function lookFor(config: ModelConfig): (path: string, records: readonly MetricsRecord[]) => Promise<Look> {
  if (config.kind === 'language-model') return inspectLanguageModel;
  return isImageClassifier(config) ? inspectVisionModel : inspectClassifier;
}

async function inspectLanguageModel(path: string): Promise<Look> {
  const { model } = await loadLanguageModel(path);
  const { perToken, segmentLength } = forwardCost(model);
  const parameters = model.countParameters();
  model.dispose();
  const facts = {
    parameters,
    'multiply-accumulates per token': Math.round(perToken),
    'counted over tokens after a full memory': segmentLength,
  };
  return { facts };
}

async function inspectClassifier(path: string, records: readonly MetricsRecord[]): Promise<Look> {
  const { model, config, training, classes } = await loadClassifier(path);
  const length = Math.min(training?.documentLength ?? config.maxLength, config.maxLength);
  const { perExample, documentLength } = classifierCost(model, length);
  const parameters = model.countParameters();
  const parts = partsOf(model, CLASSIFIER_PARTS);
  model.dispose();
  const facts = {
    ...(training === undefined ? {} : dataFacts(training)),
    classes: classes.join(', '),
    ...progressFacts(records),
    attention: `${mechanismText(config.attention)}, in ${config.layers} layers of ${config.heads} heads`,
    parameters,
    'weights in memory': formatBytes(parameters * BYTES_OF_FLOAT32),
    'multiply-accumulates per example': Math.round(perExample),
    'counted over tokens of a document': documentLength,
  };
  return { facts, parts };
}

async function inspectVisionModel(path: string, records: readonly MetricsRecord[]): Promise<Look> {
  const { model, config, training, classes, hasClassNames } = await loadImageClassifier(path);
  const cost = imageCost(model);
  const parameters = model.countParameters();
  const parts = partsOf(model, VISION_PARTS);
  model.dispose();
  const facts = {
    ...(training === undefined || training.data.path === null ? {} : { 'data from': training.data.path }),
    images: `${config.imageHeight} x ${config.imageWidth}, ${config.channels} colours`,
    classes: classesText(config.classes, hasClassNames ? classes : []),
    ...progressFacts(records),
    parameters,
    'weights in memory': formatBytes(parameters * BYTES_OF_FLOAT32),
    'multiply-accumulates per image': cost,
  };
  return { facts, parts, stages: visionStages(config) };
}

const CLASSES_SHOWN = 5;

function classesText(count: number, classes: readonly ClassName[]): string {
  if (classes.length === 0) return `${formatInteger(count)}, without names`;
  const names = classes.slice(0, CLASSES_SHOWN).map(({ name }) => name);
  return `${formatInteger(count)}: ${names.join(', ')}${count > CLASSES_SHOWN ? ', …' : ''}`;
}

const BYTES_OF_FLOAT32 = 4;

function dataFacts({ data, documentLength }: ClassifierTrainingConfig): Facts {
  return {
    ...(data.path === null ? {} : { 'data from': data.path }),
    ...(data.examples === null ? {} : { 'training examples': data.examples }),
    'tokens of a document that are read': documentLength,
  };
}

/** How far a run is, and how good. */
function progressFacts(records: readonly MetricsRecord[]): Facts {
  const trained = records.findLast((record) => record.type === 'train');
  const best = records.findLast((record) => record.type === 'evaluation' && record.best);
  return {
    ...(trained === undefined
      ? {}
      : { 'steps trained': trained.step, 'memory while training': formatBytes(trained.memoryBytes) }),
    ...(best?.type !== 'evaluation' || best.accuracy === null
      ? {}
      : {
          'best accuracy': `${(100 * best.accuracy).toFixed(2)} % on ${best.split}, step ${formatInteger(best.step)}`,
        }),
  };
}

type Part = readonly [pattern: RegExp, part: string];

/** Parameters by what they are for; the parts make up all of them. */
function partsOf(model: Module, known: readonly Part[]): Readonly<Record<string, number>> {
  const parts = new Map<string, number>();
  for (const [name, { numel }] of model.namedParameters()) {
    const part = known.find(([pattern]) => pattern.test(name))![1];
    parts.set(part, (parts.get(part) ?? 0) + numel);
  }
  return Object.fromEntries(parts);
}

/** Published names, the first that fits. */
const CLASSIFIER_PARTS: readonly Part[] = [
  [/^seq_classifer\./, 'classifier head'],
  [/\.word_embeddings\./, 'token embeddings'],
  [/\.position_embeddings\./, 'position embeddings'],
  [/\.mha\./, 'attention'],
  [/\.mlpblock\./, 'feed-forward'],
  [/cls_embed$/, 'class token'],
  [/norm/, 'norms of blocks and end'],
  [/(?:)/, 'the rest'],
];

/** Of ViL-LS and CvT-LS, the first that fits. */
const VISION_PARTS: readonly Part[] = [
  [/^head\./, 'classifier head'],
  [/relative_position|pos_embed$/, 'positions'],
  [/cls_token$/, 'global and class tokens'],
  [/\.(?:0|patch_embed)\.(?:proj|norm|norm_embed)\./, 'patch embeddings'],
  [/\.attn\.to_dynamic_projection\./, 'attention: projection to slots'],
  [/\.attn\./, 'attention: queries, keys, values, norms, output'],
  [/\.mlp\./, 'feed-forward'],
  [/norm/, 'norms of blocks and end'],
  [/(?:)/, 'the rest'],
];

async function tensorsOf(path: string): Promise<TensorSummary[]> {
  const source = await fileSource(path);
  try {
    const { entries, read } = await openSafetensors(source);
    return await summariseTensors(entries.keys(), read);
  } finally {
    await source.close();
  }
}

async function checkpointsOf(run: string) {
  const places = (
    await Promise.all([BEST_NAME, CHECKPOINTS_NAME].map((name) => listCheckpoints(join(run, name))))
  ).flat();
  const found = [];
  for (const { path, step } of places) found.push({ path, step, problem: await problemOf(path) });
  return found;
}

async function problemOf(path: string): Promise<string | null> {
  try {
    await verifyCheckpoint(path);
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function metricsOf(run: string): Promise<readonly MetricsRecord[]> {
  const path = join(run, METRICS_NAME);
  const bytes = await readSmallFile(nodeFileSystem, path, LARGEST_METRICS).catch(() => new Uint8Array());
  return parseMetrics(new TextDecoder().decode(bytes)).records;
}
