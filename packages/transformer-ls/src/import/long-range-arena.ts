/**
 * The configuration of a sequence classifier from its weights (spec 2.9). Window, heads and the way of pooling leave no trace in the
 * published files: a preset or settings say them.
 */
import { type ClassifierConfig, ConfigError, classifierSchema } from '@transformer-ls/formats';
import { classifierPreset } from '../models/sequence-classifier/presets.js';
import { flat, type Inference, type Said, settled } from './said.js';
import type { TensorShapes } from './state-dict.js';

/** @throws ConfigError with everything that does not fit together or is not said */
export function inferClassifier(shapes: TensorShapes, said: Said): Inference<ClassifierConfig> {
  const preset = presetValues(said.preset);
  const sizes = sizesOf(shapes);
  const heads = headsIn(shapes, sizes.block) ?? numberOf(said.settings.heads ?? preset.heads);
  const attention = attentionOf(shapes, sizes.block, heads);
  const hasClassToken = shapes.has('model.cls_embed');
  const known = {
    kind: 'sequence-classifier',
    inputs: sizes.inputs,
    classes: sizes.classes,
    vocabularySize: sizes.vocabularySize,
    maxLength: sizes.positions - (hasFirstTokenRow(said) ? 1 : 0),
    modelDim: sizes.modelDim,
    innerDim: sizes.innerDim,
    sharedLayers: sizes.sharedLayers,
    ...(sizes.layers === undefined ? {} : { layers: sizes.layers }),
    ...(heads === undefined ? {} : { heads }),
    ...attention,
  };
  const pooling = hasClassToken ? 'class-token-last-layer' : 'mean';
  const isWindowed = attention['attention.name'] === 'long-short';
  const config = settled(
    classifierSchema,
    {
      known,
      assumed: { mode: 'reference', pooling },
      needed: [
        ...(sizes.layers === undefined ? ['layers'] : []),
        'heads',
        'attention.name',
        ...(isWindowed ? ['attention.windowSize'] : []),
      ],
    },
    said,
    preset,
  );
  checkClassToken(config, hasClassToken);
  const source = said.preset === undefined ? 'as said' : `of ${said.preset}`;
  return {
    config,
    notes: [
      `${config.layers} layers of width ${config.modelDim}, ${config.vocabularySize} token ids, ${config.maxLength} positions, ${config.classes} classes (by the shapes)`,
      `${config.heads} heads, rank ${config.attention.projectionRank}, window ${config.attention.windowSize} (${source}; no tensor depends on the window)`,
      `pooling ${config.pooling}${said.settings.pooling === undefined ? ' (as in the published runs of such files; --set pooling=… says otherwise)' : ' (as said)'}`,
    ],
  };
}

/** In consistent mode the first token has a position of its own. */
function hasFirstTokenRow({ settings }: Said): boolean {
  return settings.mode === 'consistent' && settings.pooling === 'first-token';
}

/** What a preset says beyond the mode; lengths and classes of the file are its own. */
function presetValues(name: string | undefined): Record<string, unknown> {
  if (name === undefined) return {};
  const { mode: _, ...values } = flat(classifierPreset(name, 'reference'));
  return values;
}

interface Sizes {
  /** What the names of the first block begin with. */
  readonly block: string;
  readonly sharedLayers: boolean;
  /** Undefined where all layers share one set of weights. */
  readonly layers: number | undefined;
  readonly vocabularySize: number;
  readonly positions: number;
  readonly modelDim: number;
  readonly innerDim: number;
  readonly inputs: ClassifierConfig['inputs'];
  readonly classes: number;
}

/** @throws ConfigError with every tensor that is missing or has the wrong number of dimensions */
function sizesOf(shapes: TensorShapes): Sizes {
  const problems: string[] = [];
  const matrix = (name: string): readonly [number, number] => {
    const shape = shapes.get(name);
    if (shape?.length === 2) return shape as readonly [number, number];
    problems.push(
      `${name}: expected a matrix, received ${shape === undefined ? 'none' : `[${shape.join(', ')}]`}`,
    );
    return [1, 1];
  };
  const sharedLayers = shapes.has('model.transformer.norm1.weight');
  const block = sharedLayers ? 'model.transformer' : 'model.transformer_0';
  const [vocabularySize, modelDim] = matrix('model.embeddings.word_embeddings.weight');
  const [positions] = matrix('model.embeddings.position_embeddings.weight');
  const [innerDim] = matrix(`${block}.mlpblock.0.weight`);
  const [, features] = matrix('seq_classifer.mlpblock.0.weight');
  const [classes] = matrix('seq_classifer.mlpblock.2.weight');
  if (problems.length > 0) throw new ConfigError(problems);
  if (features !== modelDim && features !== 4 * modelDim)
    throw new ConfigError([
      `seq_classifer.mlpblock.0.weight: expected ${modelDim} columns for one document or ${4 * modelDim} for two, received ${features}`,
    ]);
  const numbers = [...shapes.keys()].map((name) =>
    Number(/^model\.transformer_(\d{1,5})\./.exec(name)?.[1] ?? -1),
  );
  return {
    block,
    sharedLayers,
    layers: sharedLayers ? undefined : numbers.reduce((most, number) => Math.max(most, number), -1) + 1,
    vocabularySize,
    positions,
    modelDim,
    innerDim,
    inputs: features === modelDim ? 'one' : 'two',
    classes,
  };
}

/** The convolution has a kernel a head, Linformer a projection a head. */
function headsIn(shapes: TensorShapes, block: string): number | undefined {
  return shapes.get(`${block}.mha.conv.weight`)?.[0] ?? shapes.get(`${block}.mha.attn.E`)?.[0];
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 ? value : undefined;
}

/** Settings of the attention that its tensors give away. @throws ConfigError where rank and heads do not go together */
function attentionOf(
  shapes: TensorShapes,
  block: string,
  heads: number | undefined,
): Readonly<Record<string, unknown>> {
  const linformer = shapes.get(`${block}.mha.attn.E`);
  if (linformer !== undefined)
    return { 'attention.name': 'linformer', 'attention.projectionRank': linformer[1] };
  if (!shapes.has(`${block}.mha.dual_ln_l.weight`)) return {};
  const slots = shapes.get(`${block}.mha.dconv_fc.weight`)?.[0] ?? 0;
  const convolution = shapes.get(`${block}.mha.conv.weight`)?.[2] ?? null;
  const known = { 'attention.name': 'long-short', 'attention.convolutionSize': convolution };
  if (heads === undefined) return known;
  if (slots % heads !== 0)
    throw new ConfigError([
      `heads: expected a divisor of the ${slots} rows of ${block}.mha.dconv_fc.weight, received ${heads}`,
    ]);
  return { ...known, 'attention.projectionRank': slots / heads };
}

function checkClassToken({ pooling }: ClassifierConfig, hasClassToken: boolean): void {
  if (pooling.startsWith('class-token') !== hasClassToken)
    throw new ConfigError([
      `pooling: the file has ${hasClassToken ? 'a learned class token' : 'no learned class token'} (model.cls_embed), received ${pooling}`,
    ]);
}
