export { type ByteSource, blobSource, bytesSource } from './byte-source.js';
export {
  type AttentionConfig,
  type AttentionName,
  attentionNames,
  attentionSchema,
  type ClassifierConfig,
  classifierSchema,
  takesClassToken,
} from './classifier-config.js';
export * from './closest-name.js';
export { crc32 } from './crc32.js';
export {
  type CvtLsConfig,
  type CvtLsStage,
  cvtEmbeddingPadding,
  cvtLsGrids,
  cvtLsSchema,
} from './cvt-ls-config.js';
export * from './dashboard-api.js';
export { quoted } from './describe-value.js';
export {
  asTypedArray,
  elementBytes,
  fromFloat32,
  isSafetensorsDtype,
  SAFETENSORS_DTYPES,
  type SafetensorsDtype,
  type TensorArray,
  type TensorEntry,
  toFloat32,
} from './dtypes.js';
export * from './exported-model.js';
export { crop, type PixelArea } from './image/crop.js';
export {
  type EvaluationView,
  evaluationBox,
  evaluationView,
  PUBLISHED_CROP_RATIO,
  shortSideTo,
} from './image/evaluation-view.js';
export {
  type ColourStatistics,
  IMAGENET_MEAN,
  IMAGENET_STD,
  type Normalisation,
  normalisation,
  normalised,
} from './image/normalise.js';
export { parseRandAugment, type RandAugmentSettings } from './image/rand-augment-text.js';
export { type ResizeFilter, type ResizeOptions, resize, type SourceBox } from './image/resize.js';
export type { RgbImage } from './image/rgb-image.js';
export { type SeenPicture, seenByModel } from './image/seen-by-model.js';
export { type ImageAugmentationConfig, imageAugmentationSchema } from './image-augmentation-config.js';
export {
  type ImageClassifierConfig,
  imageClassifierSchemas,
  isImageClassifier,
} from './image-classifier-config.js';
export { type ImageTrainingConfig, imageTrainingSchema } from './image-training-config.js';
export { type LanguageModelConfig, languageModelSchema } from './language-model-config.js';
export {
  evaluateListOps,
  ListOpsError,
  type ListOpsExample,
  listOpsOperators,
  listOpsVocabulary,
  listOpsWords,
  parseListOps,
  withoutBrackets,
} from './listops.js';
export * from './metrics.js';
export { NumpyArray, NumpyDtype, numpyGlobals } from './numpy-pickle.js';
export {
  DEEPEST_PICKLE_MARKS,
  LARGEST_PICKLE_INTEGER,
  LARGEST_PICKLE_TEXT,
  LONGEST_PICKLE_LINE,
  MOST_PICKLE_MEMO,
  MOST_PICKLE_OPCODES,
  MOST_PICKLE_STACK,
  noGlobals,
  type PickleHandlers,
  readPickle,
} from './pickle.js';
export { PickleError, type PickleErrorCode } from './pickle-error.js';
export {
  describePickle,
  InertObject,
  inertGlobal,
  PickleDict,
  PickleGlobal,
  PickleObject,
  type PickleValue,
  wrongType,
} from './pickle-values.js';
export type { ElementType } from './pth/element-types.js';
export { LARGEST_PTH_TENSOR, openPth, type PthFile } from './pth/pth.js';
export { PthError, type PthErrorCode } from './pth/pth-error.js';
export {
  PthNamespace,
  PthStorage,
  PthTensor,
  type TensorLayout,
  UnsupportedTensor,
} from './pth/pth-values.js';
export { MOST_PTH_DIMENSIONS } from './pth/tensor-layout.js';
export { DEEPEST_PTH_OBJECT, MOST_PATH_CHARACTERS, MOST_PTH_VALUES } from './pth/tensor-paths.js';
export {
  EXPANSION_ALLOWANCE,
  MOST_EXPANSION,
  MOST_PTH_TENSORS,
  MOST_UNKNOWN_GLOBALS,
} from './pth/torch-globals.js';
export { LARGEST_PTH_PICKLE } from './pth/torch-pickle.js';
export { LARGEST_ZIP_DIRECTORY, MOST_ZIP_ENTRIES } from './pth/zip-directory.js';
export * from './safetensors.js';
export { SafetensorsError, type SafetensorsErrorCode } from './safetensors-error.js';
// The building blocks have everyday names (`number`, `object`): they come under one.
export * as schema from './schema.js';
export {
  ConfigError,
  describe,
  type FieldDescription,
  type Infer,
  type ObjectSchema,
  parseConfig,
  parseConfigText,
  type Schema,
} from './schema.js';
export {
  bfloat16BitsToFloat32,
  float8E4M3BitsToFloat32,
  float8E5M2BitsToFloat32,
  float32ToBFloat16Bits,
  float32ToFloat8E4M3Bits,
  float32ToFloat8E5M2Bits,
  float32ToHalfBits,
  halfBitsToFloat32,
} from './small-floats.js';
export { encodeFileVersion, encodeScalars } from './tensorboard.js';
export {
  type ClassifierTrainingConfig,
  classifierTrainingSchema,
  type LanguageModelTrainingConfig,
  languageModelTrainingSchema,
  modelSchema,
  type TrainingConfig,
  trainingSchema,
} from './training-config.js';
export {
  type VilLsConfig,
  type VilLsStage,
  vilLsGrids,
  vilLsSchema,
} from './vil-ls-config.js';
export {
  byteVocabulary,
  type DictionaryEntry,
  FairseqDictionary,
  type SymbolStyle,
  type Vocabulary,
  VocabularyError,
} from './vocabulary.js';
