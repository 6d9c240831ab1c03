// The parsers that are fuzzed, by name: the function that states the parser's promise, and words that its format is made of.

const formats = (file) => `packages/formats/fuzz/${file}.ts`;
const product = (file) => `packages/transformer-ls/fuzz/${file}.ts`;

const JSON_WORDS = ['{', '}', '[', ']', '":', ',', '"kind":"', 'null', 'true', '"__proto__":1,', '\\u0000', '\\ud800'];
const PICKLE_WORDS = [
  '\x80\x02', '(', 't', '}', ']', 'u', 's', 'a', 'e', 'R', 'b', 'Q', '.', 'q\0', 'h\0', '\x94', '\x81', '\x85', '\x86', '\x87', 'K\x01',
  'cposix\nsystem\n', 'ctorch._utils\n_rebuild_tensor_v2\n', 'ctorch\nFloatStorage\n', 'ccollections\nOrderedDict\n',
  'cnumpy.core.multiarray\n_reconstruct\n', 'cnumpy\nndarray\n', 'cnumpy\ndtype\n', 'c_codecs\nencode\n', 'U\x07storage',
];
const ZIP_WORDS = ['PK\x03\x04', 'PK\x01\x02', 'PK\x05\x06', 'PK\x06\x06', 'PK\x06\x07', '\x01\0\x10\0', '../', 'data.pkl', 'a.png', '\xff\xff\xff\xff'];
const MODEL_WORDS = [
  'language-model', 'sequence-classifier', 'vil-ls', 'cvt-ls', 'consistent', 'reference', 'long-short', 'full', '"layers":', '"heads":',
  '"windowSize":', '"projectionRank":', '"chunkSize":', '"memoryLength":', '"stages":[', '"classes":', '"length":',
];

/** @type {Record<string, { file: string, entry: string, words: string[], longest?: number }>} */
export const TARGETS = {
  safetensors: {
    file: formats('safetensors'),
    entry: 'fuzzSafetensors',
    words: [...JSON_WORDS, '"dtype":"F32"', '"shape":[', '"data_offsets":[0,', '"__metadata__":{', 'BF16', 'F8_E8M0', 'I64'],
  },
  'pth-zip': { file: formats('pth-zip'), entry: 'fuzzPthZip', words: [...ZIP_WORDS, ...PICKLE_WORDS] },
  'pth-legacy': { file: formats('pth-legacy'), entry: 'fuzzPthLegacy', words: PICKLE_WORDS },
  pickle: { file: formats('pickle'), entry: 'fuzzPickle', words: PICKLE_WORDS },
  config: { file: formats('config'), entry: 'fuzzConfig', words: [...JSON_WORDS, ...MODEL_WORDS] },
  'exported-model': {
    file: formats('exported-model'),
    entry: 'fuzzExportedModel',
    words: [...JSON_WORDS, ...MODEL_WORDS, '"name":"../', '"bytes":', 'fairseq', 'text-classifier', 'image-classifier'],
  },
  metrics: {
    file: formats('metrics'),
    entry: 'fuzzMetrics',
    words: [...JSON_WORDS, '"type":"train"', '"type":"evaluation"', '"type":"event"', '"NaN"', '"-Infinity"', '"step":', '\n'],
  },
  onnx: { file: formats('onnx'), entry: 'fuzzOnnx', words: ['\x3a', '\x0a', '\x2a\x02', '\x32', '\x4a', '\x6a', '\x08\x07', 'location', '\xff\xff\xff\xff\x0f'] },
  dictionary: { file: formats('dictionary'), entry: 'fuzzDictionary', words: ['32 1\n', 'madeupword0000 0\n', '_ 5\n', '\r\n', '<pad> 1', '999999999999999'] },
  listops: { file: formats('listops'), entry: 'fuzzListOps', words: ['[MIN ', '[MAX ', '[MED ', '[SM ', '] ', '( ', ') ', '9 '] },
  tar: {
    file: product('archives'),
    entry: 'fuzzTar',
    words: ['ustar\x0000', 'ustar  \0', '0000644\0', '00000000012\0', 'x', 'g', 'L', '12 path=../a\n', '11 size=9\n', '2', '\x80\0\0\0\0\0\0\x01'],
    longest: 16384,
  },
  unpack: { file: product('archives'), entry: 'fuzzUnpack', words: [...ZIP_WORDS, '\x1f\x8b\x08', '\x1f\x8b\x08\x1f'] },
  'zip-pictures': { file: product('archives'), entry: 'fuzzZipPictures', words: ZIP_WORDS },
  tables: {
    file: product('tables'),
    entry: 'fuzzTables',
    words: ['\t', '\n', '\r\n', 'Source\tTarget\n', '[MIN 1 ] \t1\n', '0\t1\t2\t', '1.0\t', "b'", '\x1f\x8b\x08'],
  },
  pairs: { file: product('tables'), entry: 'fuzzPairs', words: ['\t', '\n', '{"id":"a","text":"', '"}', '1\ta\tb', '0.0', '\x1b[2J'] },
  idx: { file: product('tables'), entry: 'fuzzIdx', words: ['\0\0\x08\x03', '\0\0\x08\x01', '\0\0\0\x02', '\xff\xff\xff\xff', '\x1f\x8b\x08'] },
  labels: { file: product('tables'), entry: 'fuzzLabels', words: ['\t', '\n', 'a/1.png ', '1.png\t0\n', '@/', '0\tn01\tcat\n', '99999'] },
  parquet: { file: product('parquet'), entry: 'fuzzParquet', words: ['PAR1', '\x15\x04', '\x19\x1c', '\x19\xfc', '\x00', '\xf9\xff\xff\xff\x0f', 'image', 'label', 'bytes'] },
  'checkpoint-manifest': {
    file: product('manifests'),
    entry: 'fuzzCheckpointManifest',
    words: [...JSON_WORDS, '"step":', '"files":{', '"size":', '"sha256":"', '../x', 'model.safetensors'],
  },
  'example-set': { file: product('manifests'), entry: 'fuzzExampleSet', words: [...JSON_WORDS, '"format":"1"', '"classes":[', '"bytes":', '"sha256":"'] },
};
