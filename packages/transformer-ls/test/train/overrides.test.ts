import { describe, expect, it } from 'vitest';
import { attentionOverrides, configKeys, parseOverride, withOverrides } from '../../src/train/overrides.js';
import { smallImageConfig } from './small-image-run.js';
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

describe('of a vision model', () => {
  it('every key can be changed, those of its kind of model too', () => {
    const config = smallImageConfig();
    expect(configKeys(config)).toEqual(expect.arrayContaining(['model.stages', 'augmentation.scale.min']));
    for (const key of configKeys(config)) {
      const value = key
        .split('.')
        .reduce((at: unknown, part) => (at as Record<string, unknown>)[part], config);
      expect(withOverrides(config, { [key]: value }), key).toEqual(config);
    }
  });

  it('steps and epochs lift each other', () => {
    const epochs = smallImageConfig({ maxSteps: null, maxEpochs: 3 });
    expect(withOverrides(epochs, { maxSteps: 7 })).toMatchObject({ maxSteps: 7, maxEpochs: null });
    expect(withOverrides(epochs, { maxSteps: null, maxSeconds: 9 })).toMatchObject({ maxEpochs: null });
    expect(withOverrides(smallImageConfig(), { maxSteps: null, maxEpochs: 2 })).toMatchObject({
      maxSteps: null,
      maxEpochs: 2,
    });
    expect(() => withOverrides(epochs, { maxSteps: 7, maxEpochs: 2 })).toThrow(
      'expected a limit in steps or one in epochs, received both',
    );
  });

  it('--attention full changes every stage, and says what goes with it', () => {
    const config = smallImageConfig();
    const { overrides, notes } = attentionOverrides(config, 'full');
    const changed = withOverrides(config, overrides);
    if (changed.kind !== 'image-training') throw new Error('another kind');
    expect(changed.model.stages).toEqual(
      config.model.stages.map((stage) => ({ ...stage, attention: 'full' })),
    );
    expect(notes).toEqual([
      {
        key: 'model.stages',
        line: 'full attention in all 2 stages: without window, projection and DualLN; relative biases, where there are any, span the whole grid',
      },
    ]);
    expect(() => attentionOverrides(config, 'ful')).toThrow(
      'there is no attention "ful"; did you mean full? expected one of long-short, full',
    );
  });
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
