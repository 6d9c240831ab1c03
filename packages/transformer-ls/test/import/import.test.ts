import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type ClassifierConfig,
  parseSafetensors,
  type TensorEntry,
  toFloat32,
} from '@transformer-ls/formats';
import { noGrad, scope, tensor, zeros } from '@transformer-ls/torch';
import { beforeEach, describe, expect, it } from 'vitest';
import { imagenetClasses } from '../../src/import/imagenet-classes.js';
import { type ImportRequest, importModel } from '../../src/import/import.js';
import { createLanguageModel } from '../../src/models/language-model/create.js';
import { preset as languageModelPreset } from '../../src/models/language-model/presets.js';
import { loadLanguageModel } from '../../src/models/language-model/weights.js';
import { loadClassifier } from '../../src/models/sequence-classifier/weights.js';
import { loadImageClassifier } from '../../src/models/vision/weights.js';
import { scratchFolder } from '../data/scratch-folder.js';
import {
  type Entries,
  entriesOf,
  inHalf,
  savedPth,
  text,
  tinyVilLs,
  tinyVilLsEntries,
  written,
  zerosEntry,
} from './saved-models.js';

const own = fileURLToPath(new URL('../../fixtures/pth/', import.meta.url));
const ofFormats = fileURLToPath(new URL('../../../formats/test/fixtures/pth/', import.meta.url));
const shared = fileURLToPath(new URL('../../../../../shared/goldens/pth/', import.meta.url));

let folder = '';
let out = '';
beforeEach(() => {
  folder = scratchFolder();
  out = join(folder, 'model');
});

const request = (
  path: string,
  changes: Partial<ImportRequest> & { settings?: Record<string, unknown> } = {},
) => {
  const { settings = {}, said = { settings }, ...rest } = changes;
  return { path, out, dtype: 'stored', force: false, ...rest, said } as const;
};

/** The one line that an import fails with; nothing is left behind. */
async function messageOf(path: string, changes: Parameters<typeof request>[1] = {}): Promise<string> {
  const before = readdirSync(folder).sort();
  try {
    await importModel(request(path, changes));
  } catch (error) {
    const { name, message } = error as Error;
    expect(name).toBe('WeightsError');
    expect(message).not.toContain('\n');
    expect(readdirSync(folder).sort()).toEqual(before);
    return message;
  }
  throw new Error('no error came');
}

const bytesOf = ({ dtype, shape, data }: TensorEntry) => ({
  dtype,
  shape,
  data: Buffer.from(data).toString('hex'),
});

function expectImported(model: string, expectedFile: string, path: string): void {
  const { tensors } = parseSafetensors(readFileSync(join(model, 'model.safetensors')));
  const expected = [...parseSafetensors(readFileSync(expectedFile)).tensors].filter(([name]) =>
    name.startsWith(path),
  );
  expect(tensors.size).toBe(expected.length);
  for (const [name, entry] of expected)
    expect(bytesOf(tensors.get(name.slice(path.length))!)).toEqual(bytesOf(entry));
}

const imagenet = { path: 'net/module.', settings: {} };
const listOps = { path: 'model_state_dict/', settings: { heads: 2, 'attention.windowSize': 8 } };
const enwik8 = { path: 'model/decoder.model.', settings: {}, dictionary: true };

function goldens(): [
  string,
  string,
  { path: string; settings: Record<string, unknown>; dictionary?: boolean },
][] {
  const all = [
    ['imagenet_net', imagenet],
    ['lra_fp32', listOps],
    ['lra_fp16', listOps],
    ['fairseq_fp16', enwik8],
  ] as const;
  return all.flatMap(([name, how]) =>
    ['.pth', '.legacy.pth'].map((ending) => {
      const place = [own, ofFormats, shared].find((one) => existsSync(join(one, `${name}${ending}`)));
      return [`${name}${ending}`, place ?? '', how] as [string, string, typeof imagenet];
    }),
  );
}

/** 20 token ids: 4 of fairseq's own and 16 letters. */
const dictionary = () =>
  written(
    folder,
    'dict.txt',
    new TextEncoder().encode([...'abcdefghijklmnop'].map((letter) => `${letter} 9\n`).join('')),
  );

describe('the published layouts', () => {
  for (const [file, place, { path, settings, dictionary: needsDictionary }] of goldens())
    it.skipIf(place === '')(`${file} comes with equal values`, async () => {
      const said = needsDictionary === true ? { dictionary: dictionary() } : {};
      const imported = await importModel(request(join(place, file), { settings, ...said }));
      const name = file.replace(/(?:\.legacy)?\.pth$/, '');
      expectImported(out, join(place, `${name}.expected.safetensors`), path);
      expect(JSON.parse(readFileSync(join(out, 'config.json'), 'utf8'))).toEqual(imported.config);
      expect(JSON.parse(readFileSync(join(out, 'provenance.json'), 'utf8'))).toMatchObject({
        source: { file, sha256: imported.source.sha256, bytes: imported.source.size },
        layout: { prefix: imported.state.prefix },
      });
    });

  it('vision: the model folder classifies, with the values of the file', async () => {
    await importModel(request(join(own, 'imagenet_net.legacy.pth')));
    const { model, config, hasClassNames } = await loadImageClassifier(out);
    expect(config).toMatchObject({ mode: 'reference', imageHeight: 32, imageWidth: 32, classes: 5 });
    expect(hasClassNames).toBe(false);
    const logits = scope(() => noGrad(() => model.forward(zeros([1, 3, 32, 32])).toFloat32Array()));
    expect([...logits].every(Number.isFinite)).toBe(true);
    model.dispose();
  });

  it('Long Range Arena: half precision stays on disk and becomes float32 in the model', async () => {
    await importModel(request(join(ofFormats, 'lra_fp16.pth'), { settings: listOps.settings }));
    const { model, config } = await loadClassifier(out);
    expect(config satisfies ClassifierConfig).toMatchObject({
      inputs: 'one',
      pooling: 'class-token-last-layer',
      attention: { name: 'long-short', windowSize: 8, projectionRank: 4 },
    });
    const weight = model.stateDict().get('model.norm.weight')!;
    expect(weight.dtype).toBe('float32');
    const expected = parseSafetensors(readFileSync(join(ofFormats, 'lra_fp16.expected.safetensors')));
    expect([...weight.toFloat32Array()]).toEqual([
      ...toFloat32(expected.tensors.get('model_state_dict/model.norm.weight')!),
    ]);
    model.dispose();
  });

  it('fairseq: settings beside the weights, frequencies as stored, the dictionary of the training', async () => {
    await importModel(request(join(own, 'fairseq_fp16.legacy.pth'), { dictionary: dictionary() }));
    const { model, config, vocabulary } = await loadLanguageModel(out);
    expect(config).toMatchObject({
      windowSize: 8,
      chunkSize: 4,
      memoryLength: 16,
      projectionRank: 1,
      heads: 2,
      activation: 'gelu',
      normPlacement: 'pre',
      windowPositionClamp: null,
    });
    expect(vocabulary.vocabularySize).toBe(20);
    const frequencies = model.stateDict().get('pos_emb.inv_freq')!.toFloat32Array();
    const stored = parseSafetensors(readFileSync(join(own, 'fairseq_fp16.expected.safetensors'))).tensors;
    expect([...frequencies]).toEqual([...toFloat32(stored.get('model/decoder.model.pos_emb.inv_freq')!)]);
    const { logits } = scope(() =>
      noGrad(() => model.forward(tensor(Int32Array.of(4, 5, 6, 7), { shape: [1, 4] }))),
    );
    expect([...logits.toFloat32Array()].every(Number.isFinite)).toBe(true);
    model.dispose();
  });

  it('a bare state dict, with prefixes or without, is the same model', async () => {
    const entries = tinyVilLsEntries();
    const ways = [
      {},
      { prefix: 'module.' },
      { container: 'net' },
      { container: 'state_dict', prefix: 'module.' },
    ];
    for (const [i, way] of ways.entries()) {
      const path = written(folder, `${i}.pth`, savedPth(entries, way));
      const { config, state } = await importModel(request(path, { force: i > 0 }));
      expect(config).toEqual(tinyVilLs());
      expect(state).toMatchObject({ container: way.container ?? null, prefix: way.prefix ?? '' });
    }
  });

  it('a thousand classes get the names of ImageNet', async () => {
    const path = written(folder, 'a.pth', savedPth(tinyVilLsEntries(tinyVilLs({ classes: 1000 }))));
    const { files } = await importModel(request(path));
    expect(files).toContain('classes.txt');
    const { classes, model } = await loadImageClassifier(out);
    expect(classes).toEqual(imagenetClasses);
    expect(classes[1]).toEqual({ id: 'n01443537', name: 'goldfish' });
    model.dispose();
  });

  it('numbers are widened where asked', async () => {
    const entries = new Map([...tinyVilLsEntries()].map(([name, entry]) => [name, inHalf(entry)]));
    const path = written(folder, 'half.pth', savedPth(entries));
    expect((await importModel(request(path))).dtypes).toEqual(['F16', 'I64']);
    expect((await importModel(request(path, { dtype: 'float32', force: true }))).dtypes).toEqual([
      'F32',
      'I64',
    ]);
    const { tensors } = parseSafetensors(readFileSync(join(out, 'model.safetensors')));
    expect([...toFloat32(tensors.get('head.weight')!)]).toEqual([...toFloat32(entries.get('head.weight')!)]);
  });

  it('tensors without elements are left out and named, as are values beside the weights', async () => {
    const entries = tinyVilLsEntries();
    entries.set('layer4.0.cls_pos_embed', zerosEntry([1, 0, 16]));
    const others = { arch: text('msvit'), epoch: text('9') };
    const { notes } = await importModel(
      request(written(folder, 'a.pth', savedPth(entries, { container: 'net', others }))),
    );
    expect(notes).toContain('left out, without elements: layer4.0.cls_pos_embed');
    expect(notes).toContain('left out, not weights: arch, epoch');
  });
});

describe('what does not fit', () => {
  const saved = (change: (entries: Entries) => void, config = tinyVilLs()) => {
    const entries = tinyVilLsEntries(config);
    change(entries);
    return written(folder, 'changed.pth', savedPth(entries, { container: 'net', prefix: 'module.' }));
  };

  it('is listed completely, in one message', async () => {
    const gone = ['norm.weight', 'norm.bias', 'layer1.2.norm.weight', 'layer2.3.attn.proj.bias'];
    const dropped = [...tinyVilLsEntries().keys()].filter((name) => name.startsWith('layer2.4.'));
    const path = saved((entries) => {
      for (const name of [...gone, ...dropped]) entries.delete(name);
      entries.set('layer2.3.attn.proj.bais', zerosEntry([12]));
      entries.set('extra.weight', zerosEntry([1]));
      entries.set('layer3.1.norm.bias', zerosEntry([13]));
      entries.set('layer3.2.norm.bias', zerosEntry([2, 6]));
    });
    const message = await messageOf(path);
    for (const name of [...gone, ...dropped, 'extra.weight']) expect(message).toContain(name);
    expect(message).toContain(`${gone.length + dropped.length} missing: `);
    expect(message).toContain('layer2.3.attn.proj.bais (did you mean layer2.3.attn.proj.bias?)');
    expect(message).toContain(
      '2 wrong shape: layer3.1.norm.bias (expected [12], received [13]), layer3.2.norm.bias (expected [12], received [2, 6])',
    );
    expect(existsSync(out)).toBe(false);
  });

  it('is listed completely where sizes that others follow from are wrong too', async () => {
    const path = saved((entries) => {
      entries.set('layer2.2.mlp.fc1.weight', zerosEntry([7, 12]));
      entries.set('layer2.0.proj.weight', zerosEntry([13, 8, 2, 2]));
      entries.delete('head.bias');
    });
    // Width 13 with heads that do not divide it is no configuration at all.
    expect(await messageOf(path)).toContain('stages[1].heads: expected a divisor of modelDim 13, received 2');
    const wide = saved((entries) => {
      entries.set('layer2.2.mlp.fc1.weight', zerosEntry([7, 12]));
      entries.set('layer2.0.proj.weight', zerosEntry([14, 8, 2, 2]));
      entries.delete('head.bias');
    });
    const message = await messageOf(wide);
    for (const name of [
      'layer2.2.mlp.fc1.weight',
      'layer2.1.attn.qkv.weight',
      'layer3.0.proj.weight',
      'head.bias',
    ])
      expect(message).toContain(name);
  });

  it('places of biases other than the computed ones are refused', async () => {
    const name = 'layer1.1.attn.relative_position_index';
    const message = await messageOf(
      saved((entries) => {
        const { data, ...rest } = entries.get(name)!;
        const changed = Uint8Array.from(data);
        changed[8] = 7;
        entries.set(name, { ...rest, data: changed });
      }),
    );
    expect(message).toMatch(
      /changed\.pth: layer1\.1\.attn\.relative_position_index: expected the places that are computed/,
    );
  });

  it('tensors that the model shares must be the same in the file', async () => {
    const config = languageModelPreset('debug', { mode: 'reference' });
    const model = scope(() => createLanguageModel(config));
    const entries = entriesOf(model);
    model.dispose();
    const settings = { heads: 2, windowSize: 32, chunkSize: 8, memoryLength: 128 };
    const path = written(folder, 'same.pth', savedPth(entries, { prefix: 'decoder.model.' }));
    expect((await importModel(request(path, { settings }))).config).toEqual(config);
    entries.set('out_emb.weight', zerosEntry([...entries.get('out_emb.weight')!.shape]));
    const other = written(folder, 'other.pth', savedPth(entries));
    expect(await messageOf(other, { settings, out: join(folder, 'other') })).toMatch(
      /out_emb\.weight: expected the same numbers as in in_emb\.weight/,
    );
  });

  it('whole numbers are no weights', async () => {
    const path = saved((entries) => entries.set('head.bias', zerosEntry([5], 'I32')));
    expect(await messageOf(path)).toMatch(/head\.bias: expected one of F64, F32, F16, BF16, received I32$/);
  });

  it('a configuration that claims more than the file has is found out before the model is built', async () => {
    const path = saved((entries) => {
      entries.set('layer1.0.proj.weight', zerosEntry([1_000_000, 3, 1, 1]));
    });
    expect(await messageOf(path)).toMatch(
      /changed\.pth: layer1\.1\.attn\.qkv\.weight: expected shape \[3000000,1000000\], found \[24,8\]$/,
    );
  });

  it.each([
    [
      {
        arch: 'l1,h2,d8,n1,s1,g1,p4,f3,a0,r2_l2,h2,d12,n9,s1,g1,p2,f2,a0,r3_l3,h3,d12,n1,s0,g1,p2,f2,a0,r3_l4,h2,d16,n1,s0,g0,p1,f2,a0,r3',
        settings: {},
      },
      'stage 1, windowSize: the file has 2, --arch says 3; stage 2, layers: the file has 2, --arch says 9',
    ],
    [{ arch: 'l1,h2', settings: {} }, 'arch: expected 3 or 4 stages joined by _, received 1'],
    [
      { imageSize: { height: 64, width: 64 }, settings: {} },
      '--image-size: stage 3 has positions for 9 displacements, 64 x 64 pixels make 4 x 4',
    ],
    [{ settings: { poling: 'mean' } }, '--set: there is no setting "poling", did you mean pooling?'],
    [{ settings: { pooling: 'global-token' } }, 'pooling: the file has mean, --set says global-token'],
    [{ settings: { classes: 7 } }, 'classes: the file has 5, --set says 7'],
    [{ settings: { dropout: 2 } }, 'model.dropout: expected a number at least 0 and below 1, received 2'],
  ])('%j contradicts the file or itself', async (said, expected) => {
    expect(
      await messageOf(
        saved(() => undefined),
        { said },
      ),
    ).toContain(expected);
  });

  it('says how to give what no tensor tells', async () => {
    const path = join(ofFormats, 'lra_fp16.pth');
    expect(await messageOf(path)).toContain(
      'the file does not say heads, attention.windowSize: give --preset <name>, or --set heads=… --set attention.windowSize=…',
    );
    expect(await messageOf(path, { said: { preset: 'lra-text', settings: {} } })).toContain(
      'vocabularySize: the file has 20, --preset lra-text says 512',
    );
    expect(await messageOf(path, { said: { preset: 'lra-txt', settings: {} } })).toContain(
      'did you mean lra-text?',
    );
    expect(await messageOf(path, { settings: { ...listOps.settings, heads: 3 } })).toContain(
      'heads: expected a divisor of the 8 rows of model.transformer_0.mha.dconv_fc.weight, received 3',
    );
    expect(await messageOf(path, { settings: { ...listOps.settings, pooling: 'mean' } })).toContain(
      'pooling: the file has a learned class token (model.cls_embed), received mean',
    );
  });

  it('a language model of fairseq needs its dictionary, and the right one', async () => {
    const path = join(own, 'fairseq_fp16.legacy.pth');
    expect(await messageOf(path)).toContain('give --dictionary dict.txt');
    const other = written(folder, 'other.txt', new TextEncoder().encode('a 1\nb 1\n'));
    expect(await messageOf(path, { dictionary: other })).toContain(
      'expected a dictionary of 20 token ids, received one of 6',
    );
    expect(await messageOf(path, { dictionary: join(folder, 'none.txt') })).toContain(
      'none.txt: no such file',
    );
    expect(await messageOf(path, { dictionary: dictionary(), settings: { windowSize: 4 } })).toContain(
      'windowSize: the file has 8, --set says 4',
    );
  });

  it.each([
    [
      'something else',
      new TextEncoder().encode('hello'),
      'expected a file of torch.save, received text: "hello"',
    ],
    [
      'a file cut short',
      savedPth(new Map([['layer1.0.proj.weight', zerosEntry([2, 2])]])).subarray(0, 200),
      'cut off',
    ],
    [
      'a dict without weights',
      savedPth(new Map(), { others: { a: text('b') } }),
      'expected a dict of tensors, by itself or under net, model_state_dict, model, state_dict; received a dict of 1 with "a"',
    ],
    [
      'weights of something else',
      savedPth(new Map([['conv1.weight', zerosEntry([1])]])),
      'expected one of the names layer1.0.proj.weight (vil-ls)',
    ],
    [
      'values among the weights',
      savedPth(new Map([['layer1.0.proj.weight', zerosEntry([1])]]), { others: { step: text('x') } }),
      'expected names with tensors, received others: "step" is "x"',
    ],
    [
      'a stage without attention',
      savedPth(new Map([['layer1.0.proj.weight', zerosEntry([8, 3, 4, 4])]])),
      'layer1.1.attn.qkv.weight: expected 2 dimensions, received none',
    ],
    [
      'stages with a gap',
      savedPth(
        new Map([
          ['layer1.0.proj.weight', zerosEntry([8, 3, 4, 4])],
          ['layer3.0.proj.weight', zerosEntry([8, 3, 4, 4])],
        ]),
      ),
      'received layer1, layer3',
    ],
  ])('%s is refused in one line', async (_, bytes, expected) => {
    expect(await messageOf(written(folder, 'file.pth', bytes))).toContain(expected);
  });
});

describe('the folder that is written', () => {
  const file = () => written(folder, 'a.pth', savedPth(tinyVilLsEntries()));

  it('is not replaced without being told to, and then as a whole', async () => {
    const path = file();
    await importModel(request(path));
    expect(await messageOf(path)).toMatch(/model: is not empty; --force replaces a model/);
    writeFileSync(join(out, 'evaluation.json'), '{}');
    await importModel(request(path, { force: true, settings: { dropPath: 0.25 } }));
    expect(readdirSync(out).sort()).toEqual(['config.json', 'model.safetensors', 'provenance.json']);
    expect(JSON.parse(readFileSync(join(out, 'config.json'), 'utf8')).dropPath).toBe(0.25);
    expect(readdirSync(folder).filter((name) => name.startsWith('.tmp-'))).toEqual([]);
  });

  it('is never one with other files, and stays where an import fails', async () => {
    mkdirSync(out);
    writeFileSync(join(out, 'thesis.txt'), 'years of work');
    expect(await messageOf(file(), { force: true })).toContain('received one with thesis.txt');
    const other = join(folder, 'other');
    await importModel(request(file(), { out: other }));
    const before = readFileSync(join(other, 'config.json'), 'utf8');
    const bad = written(folder, 'bad.pth', savedPth(new Map([['layer1.0.proj.weight', zerosEntry([1])]])));
    await messageOf(bad, { out: other, force: true });
    expect(readFileSync(join(other, 'config.json'), 'utf8')).toBe(before);
  });

  it('cannot take the place of a file', async () => {
    writeFileSync(out, 'x');
    expect(await messageOf(file(), { force: true })).toContain('is a file, expected a folder or nothing');
  });
});
