/** Published weights as a model folder: read without running anything in them, compared with the model name by name, written as a whole. */
import { basename } from 'node:path';
import {
  ConfigError,
  fromFloat32,
  openPth,
  PickleDict,
  PickleError,
  PthError,
  type PthFile,
  type TensorEntry,
  toFloat32,
} from '@transformer-ls/formats';
import type { Module, Tensor } from '@transformer-ls/torch';
import { FairseqDictionary, type SymbolStyle } from '../data/vocabulary.js';
import { DICTIONARY_NAME } from '../models/language-model/weights.js';
import { digestFile, type FileDigest } from '../run/durable.js';
import { fileSource } from '../run/file-source.js';
import { nodeFileSystem } from '../run/file-system.js';
import { writeJson } from '../run/json.js';
import { CLASSES_NAME, classNamesText } from '../weights/class-names.js';
import { checkModelFolder, PROVENANCE_NAME, writeModelFolder } from '../weights/model-folder.js';
import { type ModelConfig, textOrNothing } from '../weights/model-place.js';
import { tensorOfEntry } from '../weights/tensor-entries.js';
import { WeightsError } from '../weights/weights-error.js';
import { imagenetClasses } from './imagenet-classes.js';
import { inferConfig, modelOf } from './infer.js';
import { mismatches } from './mismatches.js';
import type { Said } from './said.js';
import { findStateDict, type StateDict, shapesOf } from './state-dict.js';

export interface ImportRequest {
  /** A file of torch.save. */
  readonly path: string;
  /** The model folder to be written. */
  readonly out: string;
  readonly said: Said;
  /** fairseq's dictionary of the training; language models with its token ids need it. */
  readonly dictionary?: string | undefined;
  /** stored: half precision stays half precision on disk, and becomes float32 when the model is loaded. */
  readonly dtype: 'stored' | 'float32';
  /** Whether a model that lies at `out` may be replaced. */
  readonly force: boolean;
}

export interface ImportedModel {
  readonly config: ModelConfig;
  readonly source: FileDigest;
  readonly state: StateDict;
  /** What the configuration rests on, and what was left out: a line each. */
  readonly notes: readonly string[];
  /** Elements of all tensors that are trained. */
  readonly parameters: number;
  /** What the numbers are stored as. */
  readonly dtypes: readonly string[];
  /** Names of the files beside the weights. */
  readonly files: readonly string[];
}

/**
 * @throws WeightsError in one line: not such a file, a configuration that does not follow and was not said, or the complete list of
 * names and shapes that differ; RunFolderError where the disk refuses. Nothing is written then.
 */
export async function importModel(request: ImportRequest): Promise<ImportedModel> {
  const { path, out, force } = request;
  await checkModelFolder(out, force);
  const dictionary = request.dictionary === undefined ? undefined : await readDictionary(request.dictionary);
  const source = await fileSource(path);
  try {
    const digest = await digestFile(nodeFileSystem, path);
    const read = await inFile(path, async () => {
      const file = await openPth(source);
      return { file, ...(await readModel(file, request)) };
    });
    const { config, state, tensors, parameters } = read;
    const notes = [...read.notes, ...leftOut(read.file, state)];
    const texts = await companions(request, config, state, dictionary);
    const provenance = provenanceOf(request, digest, state, notes);
    texts.set(PROVENANCE_NAME, writeJson(provenance));
    await writeModelFolder(out, { config, tensors, texts }, force);
    const dtypes = [...new Set([...tensors.values()].map(({ dtype }) => dtype))];
    return { config, source: digest, state, notes, parameters, dtypes, files: [...texts.keys()] };
  } finally {
    await source.close();
  }
}

/** Puts the file's name before what is wrong with it. */
export async function inFile<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const isKnown =
      error instanceof PthError ||
      error instanceof PickleError ||
      error instanceof ConfigError ||
      (error instanceof WeightsError && !error.message.startsWith(`${path}: `));
    throw isKnown ? new WeightsError(`${path}: ${error.message}`, { cause: error }) : error;
  }
}

interface ReadModel {
  readonly config: ModelConfig;
  readonly state: StateDict;
  readonly notes: readonly string[];
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly parameters: number;
}

async function readModel(file: PthFile, { path, said, dtype }: ImportRequest): Promise<ReadModel> {
  const state = findStateDict(file);
  const { config, notes } = inferConfig(state, file, said);
  const shapes = shapesOf(state);
  const model = modelOf(config, shapes, path);
  try {
    const own = model.stateDict();
    const problem = mismatches(new Map([...own].map(([name, { shape }]) => [name, shape])), shapes);
    if (problem !== undefined) throw new WeightsError(problem);
    const tensors = new Map<string, TensorEntry>();
    const problems: string[] = [];
    for (const [name, tensor] of state.tensors) {
      const entry = await file.read(tensor);
      const wrong = contentProblem(name, entry, own.get(name)!, dtype);
      if (wrong !== undefined) problems.push(wrong);
      else tensors.set(name, dtype === 'float32' && isFloating(entry) ? widened(entry) : entry);
    }
    problems.push(...untied(model, tensors));
    if (problems.length > 0) throw new WeightsError(problems.join('; '));
    return { config, state, notes, tensors, parameters: model.countParameters() };
  } finally {
    model.dispose();
  }
}

/** What models here can be filled with. */
const LOADABLE = ['F64', 'F32', 'F16', 'BF16'];

function isFloating({ dtype }: TensorEntry): boolean {
  return /^B?F/.test(dtype);
}

/** Tables of places are part of the published files, and must say what is computed here. */
function contentProblem(
  name: string,
  entry: TensorEntry,
  own: Tensor,
  dtype: ImportRequest['dtype'],
): string | undefined {
  if (own.dtype === 'int64') {
    if (entry.dtype !== 'I64') return `${name}: expected I64, received ${entry.dtype}`;
    const stored = tensorOfEntry(entry, name);
    const isSame = stored.eq(own).all().item() === 1;
    stored.dispose();
    return isSame
      ? undefined
      : `${name}: expected the places that are computed for this model, received others`;
  }
  if (LOADABLE.includes(entry.dtype) || (dtype === 'float32' && isFloating(entry))) return undefined;
  return `${name}: expected one of ${LOADABLE.join(', ')}, received ${entry.dtype}`;
}

function widened(entry: TensorEntry): TensorEntry {
  return fromFloat32(toFloat32(entry), 'F32', entry.shape);
}

/** Names that stand for one tensor in the model must have the same numbers in the file. */
function untied(model: Module, tensors: ReadonlyMap<string, TensorEntry>): string[] {
  const first = new Map<Tensor, string>();
  const problems: string[] = [];
  for (const [name, tensor] of model.stateDict()) {
    const other = first.get(tensor);
    if (other === undefined) first.set(tensor, name);
    else if (!sameBytes(tensors.get(name), tensors.get(other)))
      problems.push(`${name}: expected the same numbers as in ${other}, with which the model shares them`);
  }
  return problems;
}

function sameBytes(a: TensorEntry | undefined, b: TensorEntry | undefined): boolean {
  if (a === undefined || b === undefined) return true; // reported already
  return (
    a.dtype === b.dtype && Buffer.from(a.data.buffer, a.data.byteOffset, a.data.byteLength).equals(b.data)
  );
}

/** What stands in the file and is not imported. */
function leftOut({ unknownGlobals, object }: PthFile, { container, empty }: StateDict): string[] {
  const others = topLevelKeys(object).filter((key) => key !== container);
  return [
    ...(empty.length === 0 ? [] : [`left out, without elements: ${empty.join(', ')}`]),
    ...(container === null || others.length === 0 ? [] : [`left out, not weights: ${others.join(', ')}`]),
    ...(unknownGlobals.length === 0 ? [] : [`kept as names only: ${unknownGlobals.join(', ')}`]),
  ];
}

function topLevelKeys(object: PthFile['object']): string[] {
  return object instanceof PickleDict ? [...object.entries()].map(([key]) => String(key)) : [];
}

async function readDictionary(path: string): Promise<FairseqDictionary> {
  const text = await textOrNothing(path);
  if (text === undefined)
    throw new WeightsError(`${path}: no such file, expected the dictionary of the training`);
  const style: SymbolStyle = /^\d+ /.test(text) ? 'decimal' : 'characters';
  return FairseqDictionary.parse(text, style, path);
}

async function companions(
  { path }: ImportRequest,
  config: ModelConfig,
  { layout }: StateDict,
  dictionary: FairseqDictionary | undefined,
): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  if (config.kind === 'language-model') {
    if (dictionary === undefined && layout === 'fairseq')
      throw new WeightsError(
        `${path}: token ids of fairseq mean nothing without their dictionary: give --dictionary dict.txt, the file of the training`,
      );
    if (dictionary !== undefined && dictionary.vocabularySize !== config.vocabularySize)
      throw new WeightsError(
        `${path}: expected a dictionary of ${config.vocabularySize} token ids, received one of ${dictionary.vocabularySize}`,
      );
    if (dictionary !== undefined) texts.set(DICTIONARY_NAME, dictionary.toText());
  }
  const isImagenet = config.kind === 'vil-ls' && config.classes === imagenetClasses.length;
  if (isImagenet) texts.set(CLASSES_NAME, classNamesText(imagenetClasses));
  return texts;
}

function provenanceOf(
  { path, dtype }: ImportRequest,
  { size, sha256 }: FileDigest,
  { layout, kind, container, prefix }: StateDict,
  notes: readonly string[],
) {
  return {
    format: 'transformer-ls provenance',
    version: 1,
    source: { file: basename(path), bytes: size, sha256 },
    layout: { name: layout, kind, container, prefix },
    dtype,
    notes,
    date: new Date().toISOString(),
  };
}
