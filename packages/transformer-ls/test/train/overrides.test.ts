import { expect, it } from 'vitest';
import { configKeys, parseOverride, withOverrides } from '../../src/train/overrides.js';
import { smallConfig } from './small-run.js';

it('changes nested values and leaves the original as it was', () => {
  const config = smallConfig();
  const changed = withOverrides(config, { 'optimizer.beta2': 0.5, 'model.layers': 3, maxSteps: 7 });
  expect(changed).toMatchObject({ optimizer: { beta2: 0.5 }, model: { layers: 3 }, maxSteps: 7 });
  expect(config).toEqual(smallConfig());
});

it.each([
  [{ 'optimizer.learningrate': 1 }, 'did you mean optimizer.learningRate?'],
  [{ learningRate: 1 }, 'did you mean optimizer.learningRate?'],
  [{ optimizer: {} }, 'there is no setting "optimizer"'],
  [{ recipe: 'x' }, 'there is no setting "recipe"'],
  [{ __proto__x: 1 }, 'there is no setting'],
  [{ 'model.layers': 'many' }, 'config.model.layers: expected a whole number at least 1'],
  [{ maxSteps: null }, 'expected a limit in maxSteps, maxTokens or maxSeconds'],
  [{ 'schedule.warmupSteps': 100 }, 'expected at most maxSteps 20, received 100'],
])('refuses %j', (overrides, message) => {
  expect(() => withOverrides(smallConfig(), overrides)).toThrow(message);
});

it('every key can be changed', () => {
  const config: Record<string, unknown> = { ...smallConfig() };
  for (const key of configKeys(smallConfig())) {
    const value = key
      .split('.')
      .reduce((at, part) => (at as Record<string, unknown>)[part], config as unknown);
    expect(withOverrides(smallConfig(), { [key]: value })).toEqual(smallConfig());
  }
});

it.each([
  ['seed=3', ['seed', 3]],
  ['data.name=embedded', ['data.name', 'embedded']],
  ['clipNorm=null', ['clipNorm', null]],
  ['data.path=a=b', ['data.path', 'a=b']],
])('reads %s', (text, expected) => {
  expect(parseOverride(text)).toEqual(expected);
});

it.each(['seed', '=3', ''])('refuses %j as key=value', (text) => {
  expect(() => parseOverride(text)).toThrow('expected key=value, received');
});
