// What the quick and the long fuzz tests share: valid files to start from, ways to damage them, entry points to feed.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { fuzzConfig } from '../fuzz/config.js';
import { fuzzMetrics } from '../fuzz/metrics.js';
import { fuzzPickle } from '../fuzz/pickle.js';
import { fuzzPthLegacy } from '../fuzz/pth-legacy.js';
import { fuzzPthZip } from '../fuzz/pth-zip.js';
import { fuzzSafetensors } from '../fuzz/safetensors.js';
import { encodeSafetensors, formatMetricsLine, parseSafetensors } from '../src/index.js';
import { languageModel, training } from './example-configs.js';
import { metricsRecords } from './metrics-records.js';
import { bytesOfBase64, pythonPickles } from './pickle-cases.js';
import { pthLegacyFiles, pthLegacyPrograms, pthZipAround, pthZipFiles, pthZipPrograms } from './pth-cases.js';
import { fileOf, metadataRecords, tensorMaps } from './safetensors-cases.js';

type FuzzEntry = (data: Uint8Array) => void | Promise<void>;

interface FuzzTarget {
  name: string;
  entry: FuzzEntry;
  valid: fc.Arbitrary<Uint8Array>;
  /** Files that are damaged where plain damage to a file rarely reaches. */
  inside?: fc.Arbitrary<Uint8Array>;
}

const utf8 = (text: string) => new TextEncoder().encode(text);

/** Bytes that mean something to the readers, and any others. */
const interestingBytes = fc.oneof(
  fc.constantFrom(...utf8('{}[]":,\\0129-.eE \n')),
  // Opcodes of pickles and signatures of zip archives.
  fc.constantFrom(...utf8('(NKMGXUChjqrtRbcQaesud.0PK'), 0, 1, 2, 0x80, 0x8a, 0xff),
  fc.integer({ min: 0, max: 255 }),
);
const edits = fc.array(
  fc.record({ at: fc.nat(), byte: interestingBytes, kind: fc.constantFrom('set', 'insert', 'remove') }),
  {
    minLength: 1,
    maxLength: 4,
  },
);

type Edit = typeof edits extends fc.Arbitrary<(infer T)[]> ? T : never;

function edited(data: Uint8Array, changes: readonly Edit[]): Uint8Array {
  const bytes = [...data];
  for (const { at, byte, kind } of changes) {
    const position = at % (bytes.length + 1);
    bytes.splice(position, kind === 'insert' ? 0 : 1, ...(kind === 'remove' ? [] : [byte]));
  }
  return Uint8Array.from(bytes);
}

/** A safetensors header of damaged JSON behind a length that fits, which plain damage to a file rarely gives. */
const headerShaped = fc
  .tuple(tensorMaps, edits, fc.nat({ max: 40 }))
  .map(([tensors, changes, dataBytes]) =>
    fileOf(edited(headerOf(encodeSafetensors(tensors)), changes), dataBytes),
  );

function headerOf(file: Uint8Array): Uint8Array {
  return file.slice(8, 8 + Number(new DataView(file.buffer).getBigUint64(0, true)));
}

const TARGETS: FuzzTarget[] = [
  {
    name: 'safetensors',
    entry: fuzzSafetensors,
    valid: fc
      .tuple(tensorMaps, metadataRecords)
      .map(([tensors, metadata]) => encodeSafetensors(tensors, metadata)),
    inside: headerShaped,
  },
  {
    name: 'config',
    entry: fuzzConfig,
    valid: fc.constantFrom(languageModel, training).map((config) => utf8(JSON.stringify(config))),
  },
  {
    name: 'metrics',
    entry: fuzzMetrics,
    valid: fc
      .array(metricsRecords, { maxLength: 4 })
      .map((records) => utf8(records.map(formatMetricsLine).join(''))),
  },
  {
    name: 'pickle',
    entry: fuzzPickle,
    valid: fc.constantFrom(...pythonPickles).map(([, base64]) => bytesOfBase64(base64)),
  },
  {
    name: 'pth-zip',
    entry: fuzzPthZip,
    valid: pthZipFiles,
    inside: fc.oneof(pthZipAround(edits.map((changes) => (bytes) => edited(bytes, changes))), pthZipPrograms),
  },
  { name: 'pth-legacy', entry: fuzzPthLegacy, valid: pthLegacyFiles, inside: pthLegacyPrograms },
];

/** Registers the fuzz tests of all targets with this many runs each. */
export function fuzzTests(numRuns: number): void {
  for (const { name, entry, valid, inside = valid } of TARGETS) {
    it(`${name}: valid, damaged, random`, async () => {
      const damaged = fc.tuple(valid, edits).map(([data, changes]) => edited(data, changes));
      const inputs = fc.oneof({ weight: 4, arbitrary: damaged }, valid, fc.uint8Array({ maxLength: 64 }), {
        weight: 2,
        arbitrary: inside,
      });
      await fc.assert(
        fc.asyncProperty(inputs, async (data) => entry(data)),
        { numRuns },
      );
    });

    it(`${name}: cut off at every length`, async () => {
      const property = fc.asyncProperty(valid, async (data) => {
        for (let length = 0; length <= data.length; length += 1) await entry(data.subarray(0, length));
      });
      await fc.assert(property, { numRuns: Math.ceil(numRuns / 100) });
    });
  }

  it('safetensors: nothing but the whole file is accepted', () => {
    const property = fc.property(tensorMaps, metadataRecords, (tensors, metadata) => {
      const file = encodeSafetensors(tensors, metadata);
      for (let length = 0; length < file.length; length += 1) {
        expect(() => parseSafetensors(file.subarray(0, length))).toThrow(/expected/);
      }
    });
    fc.assert(property, { numRuns: Math.ceil(numRuns / 100) });
  });
}
