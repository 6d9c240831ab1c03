import assert from 'node:assert/strict';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { assertRefused } from '../../formats/fuzz/refused.js';
import { RuntimeError } from '../src/errors.js';
import { checkGraphFiles } from '../src/onnx/graph-files.js';

const GIVEN = 'weights.bin';

/** Any bytes as a graph: refused in one line, or another reader of fields finds no file in it but the one that is handed over. */
export function fuzzGraphFiles(data: Uint8Array): void {
  try {
    checkGraphFiles('a.onnx', data, new Set([GIVEN]));
  } catch (error) {
    assertRefused(error, RuntimeError);
    return;
  }
  for (const { file, isWeight } of filesIn(data, MODEL)) {
    assert.equal(file, GIVEN);
    assert(isWeight, 'a constant lies in a file');
  }
}

interface Found {
  readonly file: string;
  /** Whether of the whole graph. */
  readonly isWeight: boolean;
}

/** What a message holds, by number of the field. */
interface Shape {
  readonly [field: number]: () => Shape;
  readonly tensor?: 'weight' | 'constant';
}

const WEIGHT: Shape = { tensor: 'weight' };
const CONSTANT: Shape = { tensor: 'constant' };
const SPARSE: Shape = { 1: () => CONSTANT, 2: () => CONSTANT };
const ATTRIBUTE: Shape = {
  5: () => CONSTANT,
  6: () => GRAPH,
  10: () => CONSTANT,
  11: () => GRAPH,
  22: () => SPARSE,
  23: () => SPARSE,
};
const NODE: Shape = { 5: () => ATTRIBUTE };
const GRAPH: Shape = { 1: () => NODE, 5: () => CONSTANT, 15: () => SPARSE };
const WHOLE_GRAPH: Shape = { ...GRAPH, 5: () => WEIGHT };
const FUNCTION: Shape = { 7: () => NODE, 11: () => ATTRIBUTE };
const TRAINING: Shape = { 1: () => GRAPH, 2: () => GRAPH };
const MODEL: Shape = { 7: () => WHOLE_GRAPH, 20: () => TRAINING, 25: () => FUNCTION };

function filesIn(bytes: Uint8Array, shape: Shape): Found[] {
  return messagesIn(bytes).flatMap(({ field, content }) => {
    if (shape.tensor === undefined) return shape[field] === undefined ? [] : filesIn(content, shape[field]());
    if (field !== 13) return [];
    const texts = messagesIn(content);
    const [key, value] = [1, 2].map((number) => texts.findLast((one) => one.field === number)?.content);
    if (Buffer.from(key ?? []).toString() !== 'location') return [];
    return [{ file: Buffer.from(value ?? []).toString(), isWeight: shape.tensor === 'weight' }];
  });
}

/** Fields of bytes, by the reader of the library that writes graphs. */
function messagesIn(bytes: Uint8Array): { field: number; content: Uint8Array }[] {
  const reader = new BinaryReader(bytes);
  const found = [];
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (type === WireType.LengthDelimited) found.push({ field, content: reader.bytes() });
    else reader.skip(type, field);
  }
  return found;
}
