import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { halfBitsToFloat32 } from '@transformer-ls/formats';
import {
  decodeOnnx,
  ELEMENT_TYPES,
  encodeOnnx,
  type OnnxGraph,
  type OnnxNode,
  type OnnxTensor,
} from '@transformer-ls/formats/onnx';
import { noGrad } from '@transformer-ls/torch';
import { InferenceSession } from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { Random } from '../../src/data/random.js';
import { storeWeights, type WeightType } from '../../src/export/stored-weights.js';
import { scratchFolder } from '../data/scratch-folder.js';
import { exportLanguageModel, exportText, smallClassifier, smallLanguageModel } from './small-exports.js';

const FILE = 'weights.bin';

function tensorOf(name: string, dims: readonly number[], numbers: ArrayLike<number>): OnnxTensor {
  return {
    name,
    dims: dims.map(BigInt),
    dataType: ELEMENT_TYPES.float32,
    rawData: new Uint8Array(Float32Array.from(numbers).buffer),
  };
}

function randomNumbers(count: number, seed: number, scale = 1): Float32Array {
  const random = new Random(seed, 0);
  return Float32Array.from({ length: count }, () => scale * (2 * random.unit() - 1));
}

/** A graph whose results are its weights. */
function graphOf(...initializer: readonly OnnxTensor[]): OnnxGraph {
  const copies = initializer.map(
    ({ name }): OnnxNode => ({
      name: `copy ${name}`,
      opType: 'Identity',
      input: [name],
      output: [`copy ${name}`],
      attribute: [],
    }),
  );
  const output = initializer.map(({ name, dims, dataType }) => ({
    name: `copy ${name}`,
    type: { tensorType: { elemType: dataType, shape: { dim: dims.map((dimValue) => ({ dimValue })) } } },
  }));
  return { name: 'g', node: copies, initializer, input: [], output };
}

function fileOf(pieces: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(pieces);
}

/** What the graph makes of its weights. */
async function computed(graph: OnnxGraph, file: Uint8Array): Promise<Map<string, Float32Array>> {
  const model = encodeOnnx({
    irVersion: 8n,
    opsetImport: [{ domain: '', version: 18n }],
    producerName: 'test',
    producerVersion: '',
    graph,
    metadataProps: [],
  });
  const session = await InferenceSession.create(model, { externalData: [{ path: FILE, data: file }] });
  const results = await session.run({});
  await session.release();
  return new Map(
    Object.entries(results).map(([name, { data }]) => [name.replace('copy ', ''), data as Float32Array]),
  );
}

function placeOf({ externalData }: OnnxTensor): { location: string; offset: number; length: number } {
  const found = Object.fromEntries(externalData!.map(({ key, value }) => [key, value]));
  return { location: found.location!, offset: Number(found.offset), length: Number(found.length) };
}

describe('weights in float32', () => {
  it('are the same bytes, each where the tensor says, at multiples of 64', async () => {
    const numbers = [300, 1000, 257].map((count, i) => randomNumbers(count, i));
    const graph = graphOf(...numbers.map((values, i) => tensorOf(`w${i}`, [values.length], values)));
    const { graphs, pieces } = storeWeights([graph], 'float32', FILE);
    const file = fileOf(pieces);
    const stored = graphs[0]!.initializer;
    for (const [i, tensor] of stored.entries()) {
      const { location, offset, length } = placeOf(tensor);
      expect({ location, length, on64: offset % 64 }).toEqual({
        location: FILE,
        length: 4 * numbers[i]!.length,
        on64: 0,
      });
      expect(tensor.rawData).toBeUndefined();
      expect(
        Buffer.from(file.subarray(offset, offset + length)).equals(Buffer.from(numbers[i]!.buffer)),
      ).toBe(true);
    }
    const results = await computed(graphs[0]!, file);
    for (const [i, values] of numbers.entries()) expect(results.get(`w${i}`)).toEqual(values);
  });

  it('are stored once, whatever their names and however many graphs have them', () => {
    const values = randomNumbers(400, 1);
    const other = randomNumbers(400, 2);
    const { graphs, pieces } = storeWeights(
      [
        graphOf(tensorOf('a', [20, 20], values), tensorOf('b', [400], values)),
        graphOf(tensorOf('c', [20, 20], values), tensorOf('d', [400], other)),
      ],
      'float32',
      FILE,
    );
    const [a, b, c, d] = graphs.flatMap(({ initializer }) => initializer.map(placeOf));
    expect([b, c]).toEqual([a, a]);
    expect(d!.offset).toBe(1600);
    expect(fileOf(pieces).length).toBe(3200);
  });

  it('stay in the graph where they are small', () => {
    const small = tensorOf('small', [255], randomNumbers(255, 1));
    const { graphs, pieces } = storeWeights([graphOf(small)], 'float32', FILE);
    expect(graphs[0]!.initializer).toEqual([small]);
    expect(fileOf(pieces).length).toBe(0);
  });
});

describe.each(['float32', 'float16', 'int8'] as const)('with weights in %s', (type) => {
  it('whole numbers stay as they are', async () => {
    const whole: OnnxTensor = {
      name: 'whole',
      dims: [200n],
      dataType: ELEMENT_TYPES.int64,
      rawData: new Uint8Array(BigInt64Array.from({ length: 200 }, (_, i) => BigInt(i) ** 9n).buffer),
    };
    const { graphs, pieces } = storeWeights([graphOf(whole)], type, FILE);
    expect(graphs[0]!.node).toHaveLength(1);
    expect(Buffer.from(fileOf(pieces)).equals(Buffer.from(whole.rawData!))).toBe(true);
  });
});

describe('weights in float16', () => {
  it('take half the room and are the nearest there are', async () => {
    const values = randomNumbers(5000, 3, 100);
    const { graphs, pieces } = storeWeights([graphOf(tensorOf('w', [50, 100], values))], 'float16', FILE);
    const file = fileOf(pieces);
    expect(file.length).toBe(2 * values.length);
    const result = (await computed(graphs[0]!, file)).get('w')!;
    const half = new Uint16Array(file.buffer, file.byteOffset, values.length);
    values.forEach((value, i) => {
      expect(result[i]).toBe(halfBitsToFloat32(half[i]!));
      expect(Math.abs(result[i]! - value)).toBeLessThanOrEqual(Math.abs(value) * 2 ** -11 + 2 ** -25);
    });
  });
});

describe('weights in int8', () => {
  it('are steps of a 127th of the largest of their column', async () => {
    const [rows, columns] = [40, 30];
    // Columns of very different sizes, and one of zeros.
    const values = randomNumbers(rows * columns, 4).map((value, i) =>
      i % columns === 7 ? 0 : value * 10 ** ((i % columns) % 5),
    );
    const { graphs, pieces } = storeWeights([graphOf(tensorOf('w', [rows, columns], values))], 'int8', FILE);
    expect(fileOf(pieces).length).toBe(values.length);
    const result = (await computed(graphs[0]!, fileOf(pieces))).get('w')!;
    for (let column = 0; column < columns; column++) {
      const all = Array.from({ length: rows }, (_, row) => row * columns + column);
      const largest = Math.max(...all.map((i) => Math.abs(values[i]!)));
      for (const i of all) {
        expect(Number.isFinite(result[i])).toBe(true);
        expect(Math.abs(result[i]! - values[i]!)).toBeLessThanOrEqual((largest / 254) * 1.0001);
      }
      expect(Math.max(...all.map((i) => Math.abs(result[i]!)))).toBeCloseTo(largest, 2);
    }
  });

  it('are not those of masks, whose numbers are not all finite', async () => {
    const numbers = randomNumbers(64 * 16, 11).map((value, i) =>
      i % 3 === 0 ? -Infinity : Math.fround(value),
    );
    const { graphs, pieces } = storeWeights([graphOf(tensorOf('mask', [64, 16], numbers))], 'int8', FILE);
    const found = (await computed(graphs[0]!, fileOf(pieces))).get('mask')!;
    numbers.forEach((value, i) => {
      if (value === -Infinity) expect(found[i]).toBe(value);
      else expect(Math.abs(found[i]! - value)).toBeLessThan(1e-3);
    });
  });

  it('are those of matrices alone: a vector is stored in float16', async () => {
    const values = randomNumbers(900, 5);
    const { graphs, pieces } = storeWeights([graphOf(tensorOf('v', [900], values))], 'int8', FILE);
    expect(fileOf(pieces).length).toBe(1800);
    const result = (await computed(graphs[0]!, fileOf(pieces))).get('v')!;
    values.forEach((value, i) => {
      expect(Math.abs(result[i]! - value)).toBeLessThanOrEqual(2 ** -11);
    });
  });
});

describe('an export', () => {
  const sizes = { modelDim: 32, innerDim: 64 };

  /** Largest error and bytes of the weight file, by type. */
  async function exported(type: WeightType) {
    const model = smallLanguageModel(sizes);
    const folder = scratchFolder();
    const { manifest, comparisons } = await exportLanguageModel(model, folder, { weights: type });
    model.dispose();
    expect(manifest.weights).toBe(type);
    for (const { error } of comparisons) expect(Number.isFinite(error)).toBe(true);
    return { error: manifest.check.largestError, bytes: statSync(join(folder, FILE)).size, folder };
  }

  it('is smaller with fewer bits, and as near to libtorch as these bits allow', async () => {
    const [whole, half, bytes] = [
      await exported('float32'),
      await exported('float16'),
      await exported('int8'),
    ];
    expect(whole.error).toBeLessThan(1e-5);
    expect(half.error).toBeGreaterThan(whole.error);
    expect(half.error).toBeLessThan(2e-2);
    expect(bytes.error).toBeGreaterThan(half.error);
    expect(bytes.error).toBeLessThan(0.5);
    expect(half.bytes / whole.bytes).toBeGreaterThan(0.49);
    expect(half.bytes / whole.bytes).toBeLessThan(0.53);
    expect(bytes.bytes / whole.bytes).toBeGreaterThan(0.24);
    expect(bytes.bytes / whole.bytes).toBeLessThan(0.32);
  });

  it('has the weights of both graphs of a language model once', async () => {
    const { folder, bytes } = await exported('float32');
    const places = ['step', 'block'].map((name) =>
      decodeOnnx(readFileSync(join(folder, `${name}.onnx`)))
        .graph.initializer.filter(({ dataLocation }) => dataLocation === 1)
        .map(placeOf),
    );
    const lengths = new Map(places.flat().map(({ offset, length }) => [offset, length]));
    const padded = [...lengths.values()].reduce((total, length) => total + Math.ceil(length / 64) * 64, 0);
    expect(Math.ceil(bytes / 64) * 64).toBe(padded);
    const shared = places[0]!.filter((one) => places[1]!.some(({ offset }) => offset === one.offset));
    expect(shared.length).toBeGreaterThan(10);
  });

  it('is refused where numbers are too large for float16', async () => {
    const loaded = smallClassifier({ modelDim: 32 });
    noGrad(() =>
      new Map(loaded.model.namedParameters()).get('model.embeddings.word_embeddings.weight')!.mul_(1e6),
    );
    await expect(exportText(loaded, scratchFolder(), { weights: 'float16' })).rejects.toThrow(
      'the graphs with float16 weights give numbers that are not finite',
    );
    const { manifest } = await exportText(loaded, scratchFolder());
    expect(manifest.check.largestError).toBeLessThan(1e-5);
    loaded.model.dispose();
  });

  it('is refused where the model itself gives no numbers', async () => {
    const loaded = smallClassifier();
    noGrad(() => [...loaded.model.parameters()][0]!.fill_(Number.NaN));
    await expect(exportText(loaded, scratchFolder())).rejects.toThrow('give numbers that are not finite');
    loaded.model.dispose();
  });
});
