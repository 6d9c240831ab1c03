/** What single files hold: weights, metrics, dictionaries. */
import { type MetricsRecord, openSafetensors, parseMetrics } from '@transformer-ls/formats';
import { DataError, messageOf, oneLine } from '../data/errors.js';
import { FairseqDictionary, LARGEST_DICTIONARY } from '../data/vocabulary.js';
import { readSmallFile } from '../run/durable.js';
import { fileSource } from '../run/file-source.js';
import { nodeFileSystem } from '../run/file-system.js';
import { LARGEST_METRICS } from '../run/metrics-log.js';
import { summariseTensors } from '../weights/tensor-summary.js';
import type { Inspection } from './inspect-report.js';

export async function inspectFile(path: string): Promise<Inspection> {
  const source = await fileSource(path);
  try {
    const file = await openSafetensors(source);
    const elements = [...file.entries.values()].reduce(
      (total, { shape }) => total + shape.reduce((product, size) => product * size, 1),
      0,
    );
    const facts = { bytes: source.size, tensors: file.entries.size, elements };
    return {
      kind: 'safetensors',
      path,
      facts,
      metadata: file.metadata,
      tensors: await summariseTensors(file.entries.keys(), file.read),
    };
  } catch (error) {
    if (error instanceof Error) error.message = `${path}: ${error.message}`;
    throw error;
  } finally {
    await source.close();
  }
}

export async function inspectMetrics(path: string): Promise<Inspection> {
  const { records, truncated } = parseMetrics(await textOf(path, LARGEST_METRICS));
  const facts = { records: records.length, 'last line': truncated === null ? 'whole' : 'cut short' };
  return { kind: 'metrics', path, facts, newest: newestOfEach(records) };
}

export async function inspectDictionary(path: string): Promise<Inspection> {
  const text = await textOf(path, LARGEST_DICTIONARY);
  const style = /^\d+ /.test(text) ? 'decimal' : 'characters';
  const dictionary = FairseqDictionary.parse(text, style, path);
  const total = dictionary.entries.reduce((sum, { count }) => sum + count, 0);
  return {
    kind: 'dictionary',
    path,
    facts: {
      'token ids': dictionary.vocabularySize,
      symbols: dictionary.entries.length,
      style,
      'symbols counted': total,
      'most frequent': dictionary.entries
        .slice(0, 8)
        .map(({ symbol }) => symbol)
        .join(' '),
    },
  };
}

async function textOf(path: string, most: number): Promise<string> {
  try {
    return new TextDecoder().decode(await readSmallFile(nodeFileSystem, path, most));
  } catch (error) {
    throw new DataError(`${path}: ${oneLine(messageOf(error))}`);
  }
}

/** The last record of each kind and split. */
export function newestOfEach(records: readonly MetricsRecord[]): MetricsRecord[] {
  const kinds = new Map(
    records.map((record) => [record.type === 'evaluation' ? record.split : record.type, record]),
  );
  return [...kinds.values()];
}
