/** Writing a model as ONNX graphs with a manifest, after comparing them with libtorch. */
import { join } from 'node:path';
import {
  EXPORT_FORMAT,
  EXPORT_MANIFEST_NAME,
  EXPORT_VERSION,
  type ExportedModel,
  exportedModelSchema,
  parseConfig,
} from '@transformer-ls/formats';
import { encodeOnnx, type OnnxGraph, type OnnxModel } from '@transformer-ls/formats/onnx';
import { fusedOperatorsWanted, setFusedOperators } from '@transformer-ls/torch';
import { fileError, systemErrorCode } from '../data/errors.js';
import { replaceFile, writeDurably } from '../run/durable.js';
import { nodeFileSystem } from '../run/file-system.js';
import { writeJson } from '../run/json.js';
import { type Comparison, compareGraph } from './compare.js';
import { ExportError } from './error.js';
import { clearExport, strangersIn, WEIGHTS_FILE } from './export-folder.js';
import { type Exportable, type ExportableGraph, SIZE_NAMES } from './exportable.js';
import { onnxModel } from './onnx-graph.js';
import { freeConstants, recordGraph } from './recorded-graph.js';
import { storeWeights, type WeightType } from './stored-weights.js';

/** Largest error of float32 graphs that is taken for rounding, relative to the largest number. */
const LARGEST_ERROR = 1e-4;

export interface ExportOptions {
  readonly name: string;
  readonly weights: WeightType;
  readonly provenance: ExportedModel['provenance'];
  readonly version: string;
  readonly onProgress?: (line: string) => void;
}

export interface ExportReport {
  readonly manifest: ExportedModel;
  readonly comparisons: readonly Comparison[];
  /** Of all files. */
  readonly bytes: number;
}

/**
 * Records, writes and compares; the manifest comes last, so that a folder with one is whole. An earlier export in the folder goes once the
 * new one was recorded; what was written is removed again where it is not as it must be.
 *
 * @param folder exists, and is empty or holds an earlier export
 * @throws ExportError where the graphs do not compute what the model does, for what has no rule, and for a folder that holds other files
 */
export async function exportModel(
  exportable: Exportable,
  folder: string,
  options: ExportOptions,
): Promise<ExportReport> {
  const [stranger] = await strangersIn(folder);
  if (stranger !== undefined)
    throw new ExportError(`${folder}: expected an empty folder or an earlier export, found ${stranger}`);
  const models = exportable.graphs.map((graph) => {
    options.onProgress?.(`recording ${graph.name}`);
    return recorded(exportable, graph, options.version);
  });
  try {
    await clearExport(folder);
    const files = await writeGraphs(exportable.graphs, models, folder, options.weights);
    options.onProgress?.('comparing with libtorch');
    const comparisons = await compareAll(exportable.graphs, folder, options.weights);
    const manifest = parseConfig(exportedModelSchema, {
      format: EXPORT_FORMAT,
      version: EXPORT_VERSION,
      name: options.name,
      ...exportable.manifest(),
      weights: options.weights,
      files,
      provenance: options.provenance,
      check: { largestError: largestErrorOf(comparisons), compared: comparisons.map(({ text }) => text) },
    });
    const text = new TextEncoder().encode(writeJson(manifest as never));
    await replaceFile(nodeFileSystem, join(folder, EXPORT_MANIFEST_NAME), [text]);
    return { manifest, comparisons, bytes: files.reduce((total, { bytes }) => total + bytes, text.length) };
  } catch (error) {
    await clearExport(folder).catch(() => undefined);
    throw systemErrorCode(error) === undefined ? error : fileError('write', folder, error);
  }
}

async function writeGraphs(
  exportables: readonly ExportableGraph[],
  models: readonly OnnxModel[],
  folder: string,
  type: WeightType,
): Promise<ExportedModel['files']> {
  const { graphs, pieces } = storeWeights(
    models.map(({ graph }) => graph),
    type,
    WEIGHTS_FILE,
  );
  const files = [await write(folder, WEIGHTS_FILE, pieces)];
  for (const [i, { name }] of exportables.entries())
    files.push(
      await write(folder, `${name}.onnx`, [encodeOnnx({ ...models[i]!, graph: graphs[i] as OnnxGraph })]),
    );
  return files;
}

/** @throws ExportError where results are not numbers, or differ by more than the stored weights explain */
async function compareAll(
  graphs: readonly ExportableGraph[],
  folder: string,
  type: WeightType,
): Promise<Comparison[]> {
  const comparisons: Comparison[] = [];
  for (const graph of graphs) comparisons.push(...(await compareGraph(graph, folder)));
  const largest = largestErrorOf(comparisons);
  if (!Number.isFinite(largest))
    throw new ExportError(
      `the graphs with ${type} weights give numbers that are not finite, or other ones than libtorch does`,
    );
  if (type === 'float32' && largest > LARGEST_ERROR)
    throw new ExportError(
      `the graphs differ from libtorch by ${largest.toExponential(1)}, expected at most ${LARGEST_ERROR}`,
    );
  return comparisons;
}

function largestErrorOf(comparisons: readonly Comparison[]): number {
  return Math.max(...comparisons.map(({ error }) => error));
}

/** The composed operators are what has rules. */
function recorded({ model }: Exportable, graph: ExportableGraph, version: string): OnnxModel {
  const fused = fusedOperatorsWanted();
  setFusedOperators(false);
  try {
    const found = recordGraph(graph, graph.sizes);
    try {
      return onnxModel(found, {
        parameters: new Map([...model.namedParameters()].map(([name, tensor]) => [tensor, name])),
        sizes: SIZE_NAMES,
        graph: graph.name,
        producerVersion: version,
      });
    } finally {
      freeConstants(found);
    }
  } finally {
    setFusedOperators(fused);
  }
}

async function write(folder: string, name: string, pieces: readonly Uint8Array[]) {
  const path = join(folder, name);
  const { size, sha256 } = await writeDurably(nodeFileSystem, path, pieces);
  return { name, bytes: size, sha256 };
}
