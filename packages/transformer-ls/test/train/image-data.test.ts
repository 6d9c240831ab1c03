import { describe, expect, it } from 'vitest';
import type { ImageSource } from '../../src/images/sources.js';
import { partsInUse } from '../../src/train/image-data.js';
import { smallImageConfig } from './small-image-run.js';

const source = (name: string): ImageSource => ({ name, from: { kind: 'folder', path: name, inside: '' } });
const [train, valid, test, all] = [source('train'), source('valid'), source('test'), source('all')];
const { data } = smallImageConfig();
const names = (found: object, split: 'held-out' | 'published') => {
  const parts = partsInUse(found, { ...data, split }, 'photos');
  const named = (one: ImageSource | null) =>
    one?.heldOut === undefined ? (one?.name ?? null) : `${one.name}: ${one.heldOut.take}`;
  return [named(parts.train), named(parts.valid), named(parts.test)];
};

const rest = (name: string) => `${name} (without held-out pictures): rest`;
const held = (name: string) => `${name} (held out): held-out`;

describe('which pictures train, choose and are reported', () => {
  it.each([
    ['three parts', { train, valid, test }, 'held-out', ['train', 'valid', 'test']],
    ['three parts', { train, valid, test }, 'published', ['train', 'valid', 'test']],
    ['ImageNet', { train, valid }, 'held-out', [rest('train'), held('train'), 'valid']],
    ['ImageNet', { train, valid }, 'published', ['train', 'valid', 'valid']],
    ['CIFAR', { train, test }, 'held-out', [rest('train'), held('train'), 'test']],
    ['CIFAR', { train, test }, 'published', ['train', 'test', 'test']],
    ['a folder of classes', { all }, 'held-out', [rest('all'), held('all'), null]],
    ['a folder of classes', { all }, 'published', [rest('all'), held('all'), null]],
  ] as const)('%s, %s: %s', (_, found, split, expected) => {
    expect(names(found, split)).toEqual(expected);
  });

  it('holds out the same pictures for every seed', () => {
    const { valid: chosen } = partsInUse({ all }, { ...data, heldOutEvery: 7 }, 'photos');
    expect(chosen.heldOut).toEqual({ every: 7, seed: 0, take: 'held-out' });
  });

  it('refuses data without a training part', () => {
    expect(() => partsInUse({ test }, data, 'photos')).toThrow('data.path: photos has no training part');
  });
});
