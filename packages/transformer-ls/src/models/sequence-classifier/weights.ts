/** Weights of sequence classifiers: found, checked, loaded. */
import { totalmem } from 'node:os';
import {
  type ClassifierConfig,
  type ClassifierTrainingConfig,
  openSafetensors,
} from '@transformer-ls/formats';
import { scope } from '@transformer-ls/torch';
import { fileSource } from '../../run/file-source.js';
import { formatBytes } from '../../text/numbers.js';
import { classNamesOf, numberedClasses } from '../../weights/class-names.js';
import { fillWeights, openWeights } from '../../weights/load.js';
import {
  type FindModelOptions,
  findModel,
  type ModelPlace,
  WeightsError,
} from '../../weights/model-place.js';
import { SequenceClassifier } from './model.js';

export interface LoadedClassifier extends ModelPlace {
  readonly config: ClassifierConfig;
  readonly training: ClassifierTrainingConfig | undefined;
  /** In evaluation mode, on the CPU. */
  readonly model: SequenceClassifier;
  /** Names of the labels; their numbers where no names are kept with the weights. */
  readonly classes: readonly string[];
}

/**
 * Loads a classifier from a run folder, a checkpoint folder, a model folder or a weight file.
 *
 * @throws WeightsError, RunFolderError, ConfigError or SafetensorsError in one line
 */
export async function loadClassifier(
  path: string,
  options: FindModelOptions = {},
): Promise<LoadedClassifier> {
  const place = await findModel(path, options);
  const { config, weightsPath } = place;
  if (config.kind !== 'sequence-classifier')
    throw new WeightsError(`${path}: is a ${config.kind}, expected a sequence-classifier`);
  const names = await classNamesOf(place, config.classes);
  const source = await fileSource(weightsPath);
  try {
    const file = await openWeights(weightsPath, () => openSafetensors(source));
    checkClassifierSizes(
      config,
      new Map([...file.entries].map(([name, { shape }]) => [name, shape])),
      weightsPath,
    );
    const model = scope(() => new SequenceClassifier(config));
    await fillWeights(model, file, weightsPath);
    model.eval();
    const training = place.training?.kind === 'classifier-training' ? place.training : undefined;
    const classes = (names ?? numberedClasses(config.classes)).map(({ name }) => name);
    return { ...place, config, training, model, classes };
  } finally {
    await source.close();
  }
}

/** What decides how much memory the model takes, before it is built: a configuration that claims too much is found out here. */
export function checkClassifierSizes(
  config: ClassifierConfig,
  shapes: ReadonlyMap<string, readonly number[]>,
  path: string,
): void {
  const { vocabularySize, modelDim, innerDim, classes, layers, sharedLayers } = config;
  const blocks = new Set(
    [...shapes.keys()].flatMap((name) => /^model\.(transformer\w*)\./.exec(name)?.[1] ?? []),
  );
  const wanted = sharedLayers ? 1 : layers;
  if (blocks.size !== wanted)
    throw new WeightsError(`${path}: expected weights of ${wanted} blocks, found ${blocks.size}`);
  const first = sharedLayers ? 'transformer' : 'transformer_0';
  const positions = shapes.get('model.embeddings.position_embeddings.weight')?.[0] ?? 0;
  const expected: Sizes = [
    ['model.embeddings.word_embeddings.weight', [vocabularySize, modelDim]],
    ['seq_classifer.mlpblock.2.weight', [classes, innerDim]],
    [`model.${first}.mlpblock.0.weight`, [innerDim, modelDim]],
    ...attentionSizes(config, `model.${first}.mha`),
  ];
  for (const [name, shape] of expected)
    if (String(shapes.get(name)) !== String(shape))
      throw new WeightsError(
        `${path}: ${name}: expected shape [${shape}], found [${shapes.get(name) ?? 'none'}]`,
      );
  if (config.maxLength > positions)
    throw new WeightsError(`${path}: expected ${config.maxLength} positions, found ${positions}`);
  checkFilling(config, path);
}

type Sizes = readonly (readonly [name: string, shape: readonly number[]])[];

/** The tensors of the first block whose sizes the mechanism decides. */
function attentionSizes({ modelDim, heads, maxLength, attention }: ClassifierConfig, at: string): Sizes {
  const { name, projectionRank, convolutionSize, randomFeatures, hashes, blockSize, randomBlocks } =
    attention;
  const projection: Sizes =
    projectionRank > 0 ? [[`${at}.dconv_fc.weight`, [heads * projectionRank, modelDim]]] : [];
  const convolution: Sizes =
    convolutionSize === null ? [] : [[`${at}.conv.weight`, [heads, 1, convolutionSize, 1]]];
  const buckets = Math.max(1, Math.round(maxLength / blockSize / 2));
  const sizes: Partial<Record<typeof name, Sizes>> = {
    'long-short': [...projection, ...convolution],
    'projection-only': [...projection, ...convolution],
    'window-only': convolution,
    linformer: [[`${at}.attn.E`, [heads, projectionRank, maxLength]]],
    performer: [[`${at}.directions`, [randomFeatures, modelDim / heads]]],
    reformer: [[`${at}.rotations`, [hashes, modelDim / heads, buckets]]],
    bigbird: [[`${at}.picks`, [Math.ceil(maxLength / blockSize), randomBlocks]]],
  };
  const query = name === 'reformer' ? 'W_qk' : 'W_q';
  return [[`${at}.${query}.weight`, [modelDim, modelDim]], ...(sizes[name] ?? [])];
}

const BYTES_OF_FLOAT32 = 4;

/** A sequence is filled up to whole windows or blocks, and no tensor of a file vouches for their size. */
function checkFilling({ modelDim, attention }: ClassifierConfig, path: string): void {
  const { windowSize, blockSize, landmarks, globalTokens } = attention;
  const tokens = Math.max(windowSize, blockSize, landmarks, globalTokens);
  const bytes = tokens * modelDim * BYTES_OF_FLOAT32;
  if (bytes > totalmem() / 4)
    throw new WeightsError(
      `${path}: sequences of ${tokens} tokens, which is the largest size of its attention, need ${formatBytes(bytes)}, ` +
        `expected at most a quarter of the machine's ${formatBytes(totalmem())}`,
    );
}
