import assert from 'node:assert/strict';
import {
  decodeOnnx,
  OnnxError,
  type OnnxGraph,
  type OnnxModel,
  type OnnxTensor,
} from '@transformer-ls/formats/onnx';
import { assertRefused } from '../../formats/fuzz/refused.js';
import { RuntimeError } from '../src/errors.js';
import { checkGraphFiles } from '../src/onnx/graph-files.js';

const GIVEN = 'weights.bin';

/** Any bytes as a graph: refused in one line, or another reader finds no file in it but the one that is handed over. */
export function fuzzGraphFiles(data: Uint8Array): void {
  try {
    checkGraphFiles('a.onnx', data, new Set([GIVEN]));
  } catch (error) {
    assertRefused(error, RuntimeError);
    return;
  }
  const graph = decoded(data)?.graph;
  if (graph === undefined) return;
  for (const file of graph.initializer.flatMap(filesOf)) assert.equal(file, GIVEN);
  assert.deepEqual(filesInNodes(graph), []);
}

/** Undefined: the other reader wants more than that bytes are fields. */
function decoded(data: Uint8Array): OnnxModel | undefined {
  try {
    return decodeOnnx(data);
  } catch (error) {
    assert(error instanceof OnnxError);
    return undefined;
  }
}

function filesOf({ dataLocation, externalData = [] }: OnnxTensor): string[] {
  const named = externalData.filter(({ key }) => key === 'location').map(({ value }) => value);
  return dataLocation === 1 && named.length === 0 ? ['no name'] : named;
}

/** Files of what lies inside nodes. */
function filesInNodes({ node }: OnnxGraph): string[] {
  return node.flatMap(({ attribute }) =>
    attribute.flatMap(({ t, g }) => [
      ...(t === undefined ? [] : filesOf(t)),
      ...(g === undefined ? [] : [...g.initializer.flatMap(filesOf), ...filesInNodes(g)]),
    ]),
  );
}
