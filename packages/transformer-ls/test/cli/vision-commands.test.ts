// `import`, `inspect`, `classify` and `evaluate` of vision models as a user runs them.
import { copyFileSync, existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLanguageModel } from '../../src/models/language-model/create.js';
import { preset } from '../../src/models/language-model/presets.js';
import { saveLanguageModel } from '../../src/models/language-model/weights.js';
import { writeClasses, writeConstantModel } from '../evaluate/pictures.js';
import { savedPth, tinyVilLsEntries } from '../import/saved-models.js';
import { type Program, program } from './program.js';

const pth = fileURLToPath(new URL('../../fixtures/pth/', import.meta.url));

let tls: Program;
const inside = (name: string) => join(tls.folder, name);
const logits = [4, 1, 3, 2, 0, -1];
const classes = ['cat', 'dog', 'eel', 'fox', 'gnu', 'hen'].map((name, i) => ({ id: `n0000000${i}`, name }));

beforeAll(async () => {
  tls = program();
  copyFileSync(join(pth, 'imagenet_net.legacy.pth'), inside('net.pth'));
  copyFileSync(join(pth, 'fairseq_fp16.legacy.pth'), inside('lm.pth'));
  await writeConstantModel(inside('animals'), logits, classes);
  await writeConstantModel(inside('unnamed'), logits, undefined);
  await writeClasses(inside('pictures'), { n00000000: 3, n00000002: 2, n00000005: 1 });
  const language = createLanguageModel(preset('debug'));
  await saveLanguageModel(inside('language'), language);
  language.dispose();
  const noise = sharp(
    Uint8Array.from({ length: 40 * 30 * 3 }, (_, i) => (i * 89) % 256),
    {
      raw: { width: 40, height: 30, channels: 3 },
    },
  );
  for (const name of ['photo.jpg', 'photo.png', 'photo.webp']) await noise.clone().toFile(inside(name));
  writeFileSync(inside('broken.jpg'), readFileSync(inside('photo.jpg')).subarray(0, 200));
  writeFileSync(inside('notes.txt'), 'no picture');
});
afterAll(() => tls.remove());

const run = (...args: string[]) => tls.run(args);
const one = (...args: string[]) => run(...args, '--threads', '1');

/** Fails with exactly one line. */
async function lineOf(code: number, args: readonly string[]): Promise<string> {
  const { out, error, code: found } = await run(...args);
  expect([found, out]).toEqual([code, '']);
  expect(error).toMatch(/^[^\n]+\n$/);
  return error;
}

describe('import', () => {
  it('writes a model folder that all commands take, and says what it rests on', async () => {
    const { out, error, code } = await run('import', 'net.pth', '--out', 'imported', '--set', 'pooling=mean');
    expect([error, code]).toEqual(['', 0]);
    expect(out).toContain('SHA-256  a6bbf70bfb6f98db488adb6b00ecf6b1047b1f598e45e484e19e3df2bbbc0eab');
    expect(out).toContain(
      'checkpoint of the published ImageNet code: weights of a vil-ls under net, names begin with module.',
    );
    expect(out).toContain('inferred arch l1,h2,d8,n1,s1,g1,p4,f2,a0,r2_l2,h2,');
    expect(out).toContain('images 32 x 32 (from the positions of stage 3)');
    expect(out).toContain('left out, not weights: arch, epoch, best_acc, optimizer, scheduler');
    expect(out).toContain('3.91k parameters (3,913) in 75 tensors, F32 and I64');
    expect(readdirSync(inside('imported')).sort()).toEqual([
      'config.json',
      'model.safetensors',
      'provenance.json',
    ]);
    expect((await one('classify', 'imported', 'photo.jpg')).code).toBe(0);
    expect((await run('inspect', 'imported')).out).toContain('multiply-accumulates per image');
  });

  it('prints a record with --json', async () => {
    const { out } = await run('import', 'net.pth', '--out', 'record', '--json', '--dtype', 'float32');
    expect(JSON.parse(out)).toMatchObject({
      layout: { name: 'vision', container: 'net', prefix: 'module.' },
      tensors: 75,
      parameters: 3913,
      config: { kind: 'vil-ls', imageHeight: 32 },
      files: ['provenance.json'],
    });
  });

  it.concurrent.each([
    [['net.pth'], 2, "required option '--out <folder>' not specified"],
    [['nothing.pth', '--out', 'a'], 1, 'cannot read the file at nothing.pth: no such file or folder'],
    [['notes.txt', '--out', 'a'], 1, 'notes.txt: expected a file of torch.save, received text: "no picture"'],
    [['lm.pth', '--out', 'a'], 1, 'lm.pth: token ids of fairseq mean nothing without their dictionary'],
    [['net.pth', '--out', 'a', '--set', 'pooling'], 2, '--set: expected key=value, received "pooling"'],
    [['net.pth', '--out', 'a', '--image-size', 'big'], 2, 'Expected pixels of a side such as 384'],
    [
      ['net.pth', '--out', 'a', '--image-size', '64'],
      1,
      'net.pth: --image-size: stage 3 has positions for 9 displacements',
    ],
    [['net.pth', '--out', 'pictures'], 1, 'pictures: is not empty; --force replaces a model'],
    [
      ['net.pth', '--out', 'pictures', '--force'],
      1,
      'pictures: expected a model folder, which would be replaced, received one with n0',
    ],
    [['net.pth', '--out', 'a', '--dtype', 'half'], 2, 'Allowed choices are stored, float32'],
  ])('%j is answered in one line and leaves nothing', async (args, code, message) => {
    expect(await lineOf(code, ['import', ...args])).toContain(message);
    expect(existsSync(inside('a'))).toBe(false);
  });
});

describe('a file of torch.save given for a model', () => {
  it.concurrent.each([['evaluate'], ['classify']])('%s says how to make one of it', async (command) => {
    expect(await lineOf(1, [command, 'net.pth'])).toContain(
      'net.pth: is a PyTorch file, expected a model; make one of it first: transformer-ls import net.pth --out <folder>',
    );
  });
});

describe('inspect', () => {
  it('shows the stages of a vision model, parameters by part and its cost', async () => {
    const { out } = await run('inspect', 'animals');
    expect(out).toContain('classes                         6: cat, dog, eel, fox, gnu, …');
    expect(out).toMatch(/^ {2}1 {2}8 x 8 +64 \+ 1 +8 +2 +1 +long-short +2 +2 +relative$/m);
    expect(out).toMatch(/^ {2}4 {2}2 x 2 +4 +16 +2 +1 +full +- +- +relative$/m);
    expect(out).toMatch(/^parameters by part$/m);
    const { facts, parts, stages } = JSON.parse((await run('inspect', 'animals', '--json')).out);
    expect(stages).toHaveLength(4);
    const sum = Object.values(parts as Record<string, number>).reduce((a, b) => a + b, 0);
    expect(sum).toBe(facts.parameters);
    expect(facts['multiply-accumulates per image']).toBeGreaterThan(10_000);
  });

  it('shows layout, values and tensors of a .pth file, with what would be imported', async () => {
    const { out } = await run('inspect', 'net.pth');
    expect(out).toMatch(/^net\.pth: PyTorch file$/m);
    expect(out).toContain('legacy format of torch.save, without checksums');
    expect(out).toMatch(/^ {2}model +arch l1,h2,d8/m);
    expect(out).toMatch(/^ {2}arch +"msvit"$/m);
    expect(out).toMatch(/net\/module\.head\.weight +F32 +\[5, 8\]/);
    const other = savedPth(new Map([['conv1.weight', tinyVilLsEntries().get('head.bias')!]]));
    writeFileSync(inside('other.pt'), other);
    expect((await run('inspect', 'other.pt')).out).toContain(
      'none that can be imported: expected one of the names',
    );
  });
});

describe('classify', () => {
  it('gives the five likeliest with names, probabilities and bars', async () => {
    const { out, error, code } = await one('classify', 'animals', 'photo.jpg');
    expect([error, code]).toEqual(['', 0]);
    const lines = out.trimEnd().split('\n');
    expect(lines.map((line) => line.replace(/ +█+$/, ''))).toEqual([
      'photo.jpg',
      '  cat (n00000000)    63.4 %',
      '  eel (n00000002)    23.3 %',
      '  fox (n00000003)     8.6 %',
      '  dog (n00000001)     3.2 %',
      '  gnu (n00000004)     1.2 %',
    ]);
    expect(lines[1]).toMatch(/ █{25}$/);
    expect(out).not.toContain('\u001b');
  });

  it('takes several files, folders and standard input, with --json one record a line', async () => {
    const { out } = await one(
      'classify',
      'animals',
      'photo.png',
      'photo.webp',
      'pictures',
      '--json',
      '--top',
      '2',
    );
    const records = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(records).toHaveLength(2 + 6);
    expect(records[0]).toMatchObject({
      file: 'photo.png',
      top: [{ label: 0, id: 'n00000000', name: 'cat' }, { label: 2 }],
    });
    expect(records[2].file).toBe('pictures/n00000000/0.png');
    const args = ['classify', 'animals', '--json', '--top', '1', '--threads', '1'];
    const fromInput = await tls.run(args, readFileSync(inside('photo.jpg')));
    expect(JSON.parse(fromInput.out)).toMatchObject({ file: 'standard input', top: [{ name: 'cat' }] });
  });

  it('goes on after pictures that cannot be read, names them, and fails in the end', async () => {
    const { out, error, code } = await one(
      'classify',
      'animals',
      'broken.jpg',
      'nothing.jpg',
      'notes.txt',
      'photo.jpg',
    );
    expect(out).toMatch(/^photo\.jpg\n {2}cat/);
    expect(code).toBe(1);
    expect(error.trimEnd().split('\n')).toEqual([
      expect.stringMatching(/^transformer-ls classify: broken\.jpg: cannot be decoded: /),
      'transformer-ls classify: cannot read nothing.jpg: no such file or folder',
      'transformer-ls classify: notes.txt: expected JPEG, PNG, WebP, GIF, TIFF or AVIF, received bytes that begin with "no pictu"',
    ]);
  });

  it('gives larger pictures to the model where asked, and says what was interpolated', async () => {
    const { out, error } = await one('classify', 'animals', 'photo.jpg', '--image-size', '48');
    expect(out).toContain('cat');
    expect(error).toBe(
      'interpolated for 48 x 48: stage 3: 1 table(s) of biases 3 x 3 → 5 x 5, bicubic\ninterpolated for 48 x 48: stage 4: 1 table(s) of biases 3 x 3 → 5 x 5, bicubic\n',
    );
  });

  it('says that classes have no names', async () => {
    const { out, error } = await one('classify', 'unnamed', 'photo.jpg', '--top', '1');
    expect(out).toContain('  0 ');
    expect(error).toContain('there is no classes.txt: classes are numbers');
  });

  it('says what to install where sharp is missing', async () => {
    const place = inside('program/node_modules/sharp');
    renameSync(place, `${place}-away`);
    try {
      expect(await lineOf(1, ['classify', 'animals', 'photo.jpg'])).toContain(
        'pictures need the package sharp, which is not installed: run npm install sharp',
      );
    } finally {
      renameSync(`${place}-away`, place);
    }
  });

  it.concurrent.each([
    [['animals', 'photo.jpg', '--text', 'x'], 2, '--text is for models of texts; animals is a vil-ls'],
    [
      ['language', 'notes.txt', '--top', '3'],
      2,
      '--top is for models of pictures; language is a language-model',
    ],
    [['animals', 'photo.jpg', '--top', '0'], 2, "Expected a whole number at least 1, received '0'"],
    [
      ['animals', 'photo.jpg', '--image-size', '33x44'],
      1,
      'this model takes no images of 33 x 44: imageWidth: expected imageHeight 33 in reference mode',
    ],
    [['animals', 'photo.jpg', '--image-size', '40'], 1, 'the nearest that it takes: 32 and 48'],
    [['animals', 'language'], 2, 'language: holds no pictures'],
  ])('%j is answered in one line', async (args, code, message) => {
    expect(await lineOf(code, ['classify', ...args])).toContain(message);
  });
});

describe('evaluate', () => {
  it('prints top-1, top-5 and what they rest on, and keeps the record', async () => {
    const { out, error, code } = await one('evaluate', 'animals', '--data', 'pictures');
    expect(code).toBe(0);
    expect(error).toBe('evaluating animals/model.safetensors on pictures: 6 pictures\n');
    expect(out).toMatch(
      /^ {2}top-1 +50\.00 % of 6 pictures\n {2}top-5 +83\.33 %\n {2}loss +\d\.\d{4} nats\n {2}chance +16\.67 % \(6 classes\)\n/,
    );
    expect(out).toContain('wrote animals/evaluation.json');
    expect(JSON.parse(readFileSync(inside('animals/evaluation.json'), 'utf8'))).toMatchObject({
      kind: 'image-evaluation',
      accuracy: 0.5,
      images: 6,
    });
    const json = JSON.parse(
      (await one('evaluate', 'animals', '--data', 'pictures', '--json', '--loader-threads', '0')).out,
    );
    expect(json).toMatchObject({ accuracy: 0.5, data: { name: 'pictures', part: 'test' } });
  });

  it('runs the published tests given their folders', async () => {
    await writeClasses(inside('v2'), { '0': 1, '2': 1, '5': 2 });
    const { out } = await one('evaluate', 'animals', '--data', 'v2', '--benchmark', 'v2', '--out', 'results');
    expect(out).toContain('25.00 % of 4 pictures');
    expect(readdirSync(inside('results'))).toEqual(['evaluation-v2.json']);
    for (const severity of ['1', '2', '3', '4', '5'])
      await writeClasses(inside(`corrupted/weather/snow/${severity}`), { n00000000: 1, n00000001: 1 });
    const corrupted = await one(
      'evaluate',
      'animals',
      '--data',
      'corrupted',
      '--benchmark',
      'c',
      '--out',
      'results',
    );
    expect(corrupted.out).toMatch(/^ {2}snow +50\.0 +50\.0 +50\.0 +50\.0 +50\.0 +50\.0 +57\.7$/m);
    expect(corrupted.out).toContain('no mCE, which needs all 15 corruptions');
  });

  it('names unreadable pictures', async () => {
    await writeClasses(inside('damaged'), { n00000000: 2, n00000001: 2 });
    writeFileSync(inside('damaged/n00000001/0.png'), 'x');
    const { out, code } = await one('evaluate', 'animals', '--data', 'damaged', '--out', 'results');
    expect(code).toBe(0);
    expect(out).toMatch(/^ {2}unreadable +1, left out\n +damaged: n00000001\/0\.png: expected JPEG/m);
  });

  it.concurrent.each([
    [['animals'], 1, 'expected --data <folder>, since these weights do not lie in a run that names one'],
    [['animals', '--data', 'nowhere'], 1, 'cannot read nowhere: no such file or folder'],
    [['animals', '--benchmark', 'a'], 2, '--benchmark a needs --data <folder> with its pictures'],
    [['animals', '--data', 'pictures', '--labels', 'x'], 2, '--labels is for --benchmark real'],
    [
      ['animals', '--data', 'pictures', '--benchmark', 'x'],
      2,
      'Allowed choices are imagenet, real, v2, a, r, c',
    ],
    [
      ['animals', '--data', 'pictures', '--benchmark', 'c'],
      1,
      'pictures: expected folders of corruptions such as gaussian_noise/1/n01440764',
    ],
    [
      ['animals', '--data', 'pictures', '--block', '5'],
      2,
      '--block is for language models; animals is a vil-ls',
    ],
    [['language', '--image-size', '5'], 2, '--image-size is for vision models; language is a language-model'],
    [['animals', '--data', 'pictures', '--crop-ratio', '2'], 2, 'Expected a number above 0 and at most 1'],
  ])('%j is answered in one line', async (args, code, message) => {
    expect(await lineOf(code, ['evaluate', ...args])).toContain(message);
  });
});
