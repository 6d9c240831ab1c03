import { expect, it, vi } from 'vitest';
import type { ReadyEngine } from '../src/engine.js';
import { Graph } from '../src/graph.js';
import type { ModelFiles } from '../src/model-files.js';
import { failure } from './exported-models.js';
import { bytesField, modelWith, tensorIn } from './onnx/proto.js';

const graph = Uint8Array.from(modelWith(bytesField(5, tensorIn('weights.bin'))));

function engine() {
  const create = vi.fn(async () => ({ inputNames: [], outputNames: [] }));
  return {
    create,
    ready: { engine: { InferenceSession: { create } }, session: {} } as unknown as ReadyEngine,
  };
}

const files = (entries: Readonly<Record<string, Uint8Array>>) =>
  ({ files: new Map(Object.entries(entries)) }) as unknown as ModelFiles;

it('hands a graph over with the file that it asks for', async () => {
  const { create, ready } = engine();
  const weights = new Uint8Array(4);
  await Graph.create(ready, files({ 'a.onnx': graph, 'weights.bin': weights }), 'a.onnx');
  expect(create.mock.calls).toEqual([[graph, { externalData: [{ path: 'weights.bin', data: weights }] }]]);
});

it('shows the engine no graph that asks for a file that is not handed over, though the model has others', async () => {
  const { create, ready } = engine();
  const other = { 'a.onnx': graph, 'other.bin': new Uint8Array(4) };
  expect(await failure(Graph.create(ready, files(other), 'a.onnx'))).toEqual({
    code: 'damaged',
    message: `a.onnx cannot be loaded: weights of it lie in "weights.bin", which is none of the model's files`,
  });
  expect(create).not.toHaveBeenCalled();
});
