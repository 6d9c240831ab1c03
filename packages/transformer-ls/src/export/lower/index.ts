/** All rules, by operator. */
import { ExportError } from '../error.js';
import type { GraphCall } from '../recorded-graph.js';
import { isGraphTensor } from '../recorded-graph.js';
import { sizeText } from '../sizes.js';
import { CREATE_RULES } from './create.js';
import { ELEMENTWISE_RULES } from './elementwise.js';
import { PRODUCT_RULES } from './products.js';
import type { Rule } from './rule.js';
import { SHAPE_RULES } from './shape.js';

const RULES = { ...SHAPE_RULES, ...ELEMENTWISE_RULES, ...PRODUCT_RULES, ...CREATE_RULES };

/** @throws ExportError that names the operator and what it was called with */
export function ruleFor({ name, inputs }: GraphCall): Rule {
  const rule = RULES[name];
  if (rule !== undefined) return rule;
  const shapes = inputs.filter(isGraphTensor).map(({ dtype, shape }) => `${dtype}[${shape.map(sizeText)}]`);
  throw new ExportError(`no rule says what ${name}(${shapes.join(', ')}) is in ONNX`);
}
