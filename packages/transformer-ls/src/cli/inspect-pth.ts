/** What a file of torch.save holds; nothing in it is run. */
import {
  ConfigError,
  describePickle,
  InertObject,
  openPth,
  PickleDict,
  type PickleValue,
  type PthFile,
  PthNamespace,
  PthTensor,
} from '@transformer-ls/formats';
import { inFile } from '../import/import.js';
import { inferConfig } from '../import/infer.js';
import { findStateDict } from '../import/state-dict.js';
import { digestFile } from '../run/durable.js';
import { fileSource } from '../run/file-source.js';
import { nodeFileSystem } from '../run/file-system.js';
import { isPth } from '../weights/pth-start.js';
import { summariseTensors } from '../weights/tensor-summary.js';
import { WeightsError } from '../weights/weights-error.js';
import type { Inspection } from './inspect-report.js';
import { layoutText } from './layout-text.js';

export async function isPthFile(path: string): Promise<boolean> {
  const source = await fileSource(path);
  try {
    return await isPth(source);
  } finally {
    await source.close();
  }
}

export async function inspectPth(path: string): Promise<Inspection> {
  const source = await fileSource(path);
  try {
    const { sha256 } = await digestFile(nodeFileSystem, path);
    return await inFile(path, async () => {
      const file = await openPth(source);
      const { format, hasChecksums, tensors, unknownGlobals } = file;
      const facts = {
        bytes: source.size,
        'SHA-256': sha256,
        format: `${format} format of torch.save, ${hasChecksums ? 'with' : 'without'} checksums`,
        ...layoutFacts(file),
        tensors: tensors.size,
        elements: [...tensors.values()].reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0),
        ...(unknownGlobals.length === 0 ? {} : { 'kept as names, never called': unknownGlobals.join(', ') }),
      };
      const summaries = await summariseTensors(tensors.keys(), file.read);
      return { kind: 'PyTorch file', path, facts, values: otherValues(file), tensors: summaries };
    });
  } finally {
    await source.close();
  }
}

/** What `import` would make of it without being told anything. */
function layoutFacts(file: PthFile): Record<string, string> {
  try {
    const state = findStateDict(file);
    return { layout: layoutText(state), ...inferredFacts(file, state) };
  } catch (error) {
    if (!(error instanceof WeightsError)) throw error;
    return { layout: `none that can be imported: ${error.message}` };
  }
}

function inferredFacts(file: PthFile, state: ReturnType<typeof findStateDict>): Record<string, string> {
  try {
    const { notes } = inferConfig(state, file, { settings: {} });
    return { model: notes.join('; ') };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { model: error.message };
  }
}

const MOST_VALUES = 200;
const DEEPEST = 8;
/** Lists as long as these are shown by their length. */
const LONGEST_LIST = 8;

/** Everything that is no tensor, by its place. */
function otherValues({ object, unreadable }: PthFile): Record<string, string> {
  const values = new Map<string, string>();
  let more = 0;
  const add = (place: string, value: PickleValue) => {
    if (values.size < MOST_VALUES) values.set(place, unreadable.get(place) ?? describePickle(value));
    else more += 1;
  };
  const visit = (value: PickleValue, place: string, depth: number) => {
    if (value instanceof PthTensor || more > MOST_VALUES) return;
    const members = depth < DEEPEST ? membersOf(value) : undefined;
    if (members === undefined || members.length === 0) add(place, value);
    else
      for (const [key, member] of members) visit(member, place === '' ? key : `${place}/${key}`, depth + 1);
  };
  visit(object, '', 0);
  if (more > 0) values.set('…', 'and more');
  return Object.fromEntries(values);
}

function membersOf(value: PickleValue): [string, PickleValue][] | undefined {
  if (Array.isArray(value))
    return value.length > LONGEST_LIST ? undefined : value.map((member, i) => [String(i), member]);
  const entries = value instanceof PthNamespace ? value.entries : value;
  if (entries instanceof PickleDict)
    return [...entries.entries()].map(([key, member]) => [keyText(key), member]);
  return value instanceof InertObject && value.state instanceof PickleDict
    ? membersOf(value.state)
    : undefined;
}

function keyText(key: PickleValue): string {
  return typeof key === 'string' ? key : describePickle(key);
}
