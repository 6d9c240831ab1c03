/** What single files hold: weights, metrics, dictionaries. */
import { readFile } from 'node:fs/promises';
import { type MetricsRecord, openSafetensors, parseMetrics } from '@transformer-ls/formats';
import { FairseqDictionary } from '../data/vocabulary.js';
import { fileSource } from '../run/file-source.js';
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
  const { records, truncated } = parseMetrics(await readFile(path, 'utf8'));
  const facts = { records: records.length, 'last line': truncated === null ? 'whole' : 'cut short' };
  return { kind: 'metrics', path, facts, newest: newestOfEach(records) };
}

export async function inspectDictionary(path: string): Promise<Inspection> {
  const text = await readFile(path, 'utf8');
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

/** The last record of each kind and split. */
export function newestOfEach(records: readonly MetricsRecord[]): MetricsRecord[] {
  const kinds = new Map(
    records.map((record) => [record.type === 'evaluation' ? record.split : record.type, record]),
  );
  return [...kinds.values()];
}
