/** Tensors that are made of nothing but their sizes. */
import type { Rule, Rules } from './rule.js';

const filled =
  (value: number): Rule =>
  ({ graph, result }) =>
    graph.node('Expand', [graph.scalar(value, result.dtype), graph.vector(result.shape)]);

export const CREATE_RULES: Rules = {
  'aten::zeros': filled(0),
  'aten::ones': filled(1),
};
