import { expect, it } from 'vitest';
import { modelCost, modelCosts } from './cvt-costs.js';

it.each(Object.keys(modelCosts))('%s has the parameters and multiply-accumulates of its README', (name) => {
  expect(modelCost(name)).toEqual(modelCosts[name]);
});
