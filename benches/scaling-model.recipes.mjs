/** What a recipe's model costs: parameters, and multiply-accumulates of a forward pass, counted in one that is really run. */
import * as torch from '../packages/torch/dist/index.js';
import { syntheticCorpus } from '../packages/transformer-ls/dist/data/synthetic.js';
import { byteVocabulary } from '../packages/transformer-ls/dist/data/vocabulary.js';
import { createLanguageModel } from '../packages/transformer-ls/dist/models/language-model/create.js';
import { SequenceClassifier } from '../packages/transformer-ls/dist/models/sequence-classifier/model.js';
import { createImageClassifier } from '../packages/transformer-ls/dist/models/vision/image-classifier.js';
import { LanguageModelTask } from '../packages/transformer-ls/dist/train/language-model-task.js';
import { Precision } from '../packages/transformer-ls/dist/train/precision.js';
import { recipe } from '../packages/transformer-ls/dist/train/recipes.js';

/**
 * @returns `{ name, unit, parameters, macs, batch, micro, pairs }`: `macs` forward for one lane's segment, one document or one picture;
 *   `batch` of them a step, of which `micro` are in one pass; `pairs`: pictures are mixed in pairs
 */
export function costOf(name) {
  const config = recipe(name);
  const accumulation = config.gradientAccumulation;
  const model = modelOf(config);
  const parameters = model.parameters().reduce((sum, { numel }) => sum + numel, 0);
  const ops = torch.noGrad(() => torch.scope(() => FORWARD[config.kind](config, model)));
  return {
    name,
    unit: UNITS[config.kind],
    parameters,
    macs: torch.countMultiplyAccumulates(ops),
    batch: config.batchSize * accumulation,
    micro: config.batchSize,
    pairs: config.kind === 'image-training',
  };
}

const UNITS = { training: 'lane', 'classifier-training': 'document', 'image-training': 'picture' };

function modelOf({ kind, model }) {
  if (kind === 'training') return createLanguageModel(model);
  return kind === 'classifier-training' ? new SequenceClassifier(model) : createImageClassifier(model);
}

/** The operators of one forward pass. */
const FORWARD = {
  /** A segment with a full memory before it. The text is bytes, whatever the dictionary: one matrix is larger for it. */
  training(config) {
    const here = { device: 'cpu', precision: 'float32', batchSize: 1 };
    const withBytes = { ...config, ...here, model: { ...config.model, vocabularySize: 256 } };
    const model = createLanguageModel(withBytes.model);
    const text = (split) => syntheticCorpus('pattern', split, { bytes: 200_000, seed: 0, distance: 20 });
    const task = new LanguageModelTask({
      ...{ model, config: withBytes, vocabulary: byteVocabulary, precision: new Precision('float32', 'cpu') },
      ...{ train: text('train'), valid: text('valid') },
    });
    task.nextMicroBatch();
    return recorded(() => task.nextMicroBatch());
  },
  'classifier-training'({ documentLength, model: { inputs } }, model) {
    const ids = torch.zeros([1, documentLength], { dtype: 'int64' });
    const document = { ids, mask: torch.ones([1, documentLength], { dtype: 'bool' }) };
    return recorded(() => model.forward(...(inputs === 'two' ? [document, document] : [document])));
  },
  'image-training'({ model: { channels, imageHeight, imageWidth } }, model) {
    return recorded(() => model.forward(torch.zeros([1, channels, imageHeight, imageWidth])));
  },
};

function recorded(run) {
  return torch.recordOps(run).ops;
}
