// `attend` of vision models as a user runs it.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ImageClassifierConfig, safetensorsChunks } from '@transformer-ls/formats';
import { manualSeed } from '@transformer-ls/torch';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createImageClassifier } from '../../src/models/vision/image-classifier.js';
import { visionPreset } from '../../src/models/vision/presets.js';
import { lazyEntryOfTensor } from '../../src/weights/tensor-entries.js';
import { checkXml, outsidePlaces } from '../charts/check-svg.js';
import { type Program, program } from './program.js';

let tls: Program;
const inside = (name: string) => join(tls.folder, name);

/** 80 x 60 pixels: the left half bright, the right half dark. */
async function writePictures(): Promise<void> {
  const data = Uint8Array.from({ length: 3 * 80 * 60 }, (_, i) => (Math.floor(i / 3) % 80 < 40 ? 230 : 20));
  const picture = sharp(data, { raw: { width: 80, height: 60, channels: 3 } });
  writeFileSync(inside('half.png'), await picture.clone().png().toBuffer());
  const whole = await picture.jpeg().toBuffer();
  writeFileSync(inside('half of it.jpg'), whole.subarray(0, whole.length / 2));
}

function saveModel(name: string, config: ImageClassifierConfig): void {
  const model = createImageClassifier(config);
  const tensors = new Map([...model.stateDict()].map(([key, value]) => [key, lazyEntryOfTensor(value)]));
  mkdirSync(inside(name));
  writeFileSync(inside(`${name}/model.safetensors`), Buffer.concat([...safetensorsChunks(tensors, {})]));
  writeFileSync(inside(`${name}/config.json`), JSON.stringify(config));
  model.dispose();
}

beforeAll(async () => {
  tls = program();
  await writePictures();
  writeFileSync(inside('text.jpg'), 'no picture');
  manualSeed(7);
  const vil = visionPreset('vil-ls-tiny', { classes: 3, imageSize: 32 });
  saveModel('vil', vil);
  writeFileSync(inside('vil/classes.txt'), 'cat\ndog\ncrane\n');
  saveModel('oblong', { ...vil, imageWidth: 48 } as ImageClassifierConfig);
  const cvt = visionPreset('cvt-ls-13', { classes: 3, imageSize: 32 });
  const stages = cvt.stages.map((stage) => ({ ...stage, layers: 1, modelDim: 24, heads: 2 }));
  saveModel('cvt', { ...cvt, stages } as ImageClassifierConfig);
});
afterAll(() => tls.remove());

describe('attend of a vision model', () => {
  it('draws the last block with long-short attention as PNG, and says what it is', async () => {
    const { code, out, error } = await tls.run(['attend', 'vil', 'half.png']);
    expect({ code, error }).toEqual({ code: 0, error: '' });
    const [verdict, block, token, written] = out.split('\n');
    expect(verdict).toMatch(/^says (cat|dog|crane) \(\d+\.\d %\)$/);
    expect(block).toBe(
      'stage 2 of 4, block 1 of 1: long-short attention, window 7, rank 8, 1 global token; 4 x 4 tokens, each 8 x 8 pixels',
    );
    expect(token).toMatch(
      /^the token at row 2, column 2 takes \d+\.\d % from tokens, \d+\.\d % from slots, \d+\.\d % from global tokens \(mean of 3 heads\)$/,
    );
    expect(written).toMatch(/^wrote attention\.png \(/);
    const { width, format } = await sharp(readFileSync(inside('attention.png'))).metadata();
    expect({ width, format }).toEqual({ width: 2160, format: 'png' });
  });

  it('draws the block, the head and the token asked for', async () => {
    const options = ['--stage', '1', '--block', '1', '--head', '1', '--at', '5:3', '--out', 'one.svg'];
    const { code, error } = await tls.run(['attend', 'vil', 'half.png', ...options]);
    expect({ code, error }).toEqual({ code: 0, error: '' });
    const svg = readFileSync(inside('one.svg'), 'utf8');
    checkXml(svg);
    expect(outsidePlaces(svg)).toEqual([]);
    expect(svg.includes('ViL-LS, stage 1 of 4, block 1 of 1, looks at half.png')).toBe(true);
    expect(svg.includes('What the token at row 5, column 3 takes')).toBe(true);
    expect(svg.includes('Mean of')).toBe(false);
  });

  it('draws full attention, and CvT-LS', async () => {
    for (const [model, stage, line] of [
      ['vil', '3', 'stage 3 of 4, block 9 of 9: full attention, 1 global token; 2 x 2 tokens'],
      ['vil', '4', 'stage 4 of 4, block 1 of 1: full attention; 1 x 1 tokens'],
      [
        'cvt',
        '3',
        'stage 3 of 3, block 1 of 1: long-short attention, window 2, rank 4, 1 global token; 2 x 2',
      ],
    ] as const) {
      const { code, out } = await tls.run(['attend', model, 'half.png', '--stage', stage, '--out', 'a.svg']);
      expect(code).toBe(0);
      expect(out).toContain(line);
      checkXml(readFileSync(inside('a.svg'), 'utf8'));
    }
  });

  it('takes another size of images, and another share of the picture', async () => {
    const options = ['--stage', '1', '--image-size', '48', '--crop-ratio', '1', '--json'];
    const { code, out, error } = await tls.run(['attend', 'vil', 'half.png', ...options]);
    expect(code).toBe(0);
    expect(error).toMatch(/^interpolated for 48 x 48: /);
    const { grid, picture } = JSON.parse(out);
    expect({ grid, seen: picture.seen }).toEqual({
      grid: { rows: 12, columns: 12 },
      seen: { left: 10, top: 0, right: 70, bottom: 60 },
    });
  });

  it('finds the token that shows a pixel of the file', async () => {
    // 36 of 48 x 36 pixels resized, of which 32 x 32 from 8, 2 on: the file from 13.3 to 66.7 and from 3.3 to 56.7.
    const at = async (pixel: string) => {
      const run = await tls.run(['attend', 'vil', 'half.png', '--stage', '1', '--at-pixel', pixel, '--json']);
      return run.code === 0 ? JSON.parse(run.out).token : run.error;
    };
    expect(await at('13:3')).toEqual({ row: 0, column: 0 });
    expect(await at('40:30')).toEqual({ row: 4, column: 4 });
    expect(await at('39:30')).toEqual({ row: 4, column: 3 });
    expect(await at('66:56')).toEqual({ row: 7, column: 7 });
    expect(await at('12:30')).toBe(
      'transformer-ls attend: --at-pixel: expected a pixel that the model sees, x from 13 to 66 and y from 3 to 56, received 12:30\n',
    );
  });

  it('gives the weights as JSON, without a picture', async () => {
    const { code, out } = await tls.run([
      'attend',
      'vil',
      'half.png',
      '--json',
      '--at',
      'global',
      '--out',
      'b.svg',
    ]);
    expect(code).toBe(0);
    expect(existsSync(inside('b.svg'))).toBe(true);
    const record = JSON.parse(out);
    expect(record).toMatchObject({
      kind: 'image-attention-weights',
      model: { path: join('vil', 'model.safetensors'), kind: 'vil-ls', step: null },
      picture: { name: 'half.png', width: 80, height: 60 },
      stage: 2,
      block: 1,
      patch: 8,
      attention: 'long-short',
      grid: { rows: 4, columns: 4 },
      seen: { top: 0, left: 0, bottom: 4, right: 4 },
      keys: 16,
    });
    expect(record.best).toHaveLength(3);
    const sum = (values: readonly unknown[]) => (values.flat(2) as number[]).reduce((a, b) => a + b, 0);
    expect(sum(record.best.map((one: { probability: number }) => one.probability))).toBeCloseTo(1, 4);
    expect(record.heads).toHaveLength(3);
    for (const { tokens, slots, globals, projection, ofGlobals } of record.heads) {
      expect(sum(tokens) + sum(slots) + sum(globals)).toBeCloseTo(1, 4);
      expect([tokens.length, tokens[0].length, slots.length, globals.length]).toEqual([4, 4, 8, 1]);
      for (const map of projection) expect(sum(map)).toBeCloseTo(1, 4);
      for (const one of ofGlobals) expect(sum(one.tokens) + sum(one.globals)).toBeCloseTo(1, 4);
    }
    const { row, column } = record.token;
    const taken = (r: number, c: number) =>
      sum(
        record.heads.map((head: { ofGlobals: { tokens: number[][] }[] }) => head.ofGlobals[0]!.tokens[r]![c]),
      );
    for (let r = 0; r < 4; r++)
      for (let c = 0; c < 4; c++) expect(taken(row, column)).toBeGreaterThan(taken(r, c) - 1e-5);
  });

  it.concurrent.each([
    [['vil'], 2, 'expected one picture file for a vision model, received 0'],
    [['vil', 'nothing.jpg'], 2, 'cannot read nothing.jpg: no such file or folder'],
    [
      ['vil', 'text.jpg'],
      1,
      'text.jpg: expected JPEG, PNG, WebP, GIF, TIFF or AVIF, received bytes that begin with',
    ],
    [['vil', 'half of it.jpg'], 1, 'half of it.jpg: cannot be decoded: '],
    [['vil', 'half.png', '--stage', '5'], 2, '--stage: expected a number from 1 to 4, received 5'],
    [['vil', 'half.png', '--block', '2'], 2, '--block: expected a number from 1 to 1 in stage 2, received 2'],
    [
      ['vil', 'half.png', '--at', '4:0'],
      2,
      '--at: expected row 0 to 3 and column 0 to 3 in stage 2, received 4:0',
    ],
    [
      ['vil', 'half.png', '--at', 'middle'],
      2,
      "Expected row:column such as 3:12, centre or global, received 'middle'.",
    ],
    [['vil', 'half.png', '--at-pixel', '3'], 2, "Expected x:y of a pixel such as 310:120, received '3'."],
    [
      ['vil', 'half.png', '--at', '1:1', '--at-pixel', '3:3'],
      2,
      'expected --at or --at-pixel, received both',
    ],
    [
      ['vil', 'half.png', '--stage', '4', '--at', 'global'],
      2,
      '--at: stage 4 has no global token, expected row:column or centre',
    ],
    [
      ['cvt', 'half.png', '--stage', '2', '--at', 'global'],
      2,
      '--at: stage 2 has no global token, expected row:column or centre',
    ],
    [['vil', 'half.png', '--layer', '1'], 2, '--layer is for models of texts; vil is a vil-ls'],
    [['vil', 'half.png', '--out', 'a.gif'], 2, 'expected --out with a name that ends in .svg or .png'],
  ])('%j is answered in one line', async (args, expected, message) => {
    const { code, out, error } = await tls.run(['attend', ...args]);
    expect({ code, out }).toEqual({ code: expected, out: '' });
    expect(error).toContain(message);
    expect(error.trimEnd()).not.toContain('\n');
  });
});
