import { rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ModelShelf } from '../../src/dashboard/model-shelf.js';
import { scratchFolder } from '../data/scratch-folder.js';
import { write, writeModel } from './small-runs.js';

const shelfOf = (...roots: string[]) => new ModelShelf(roots, 0);

describe('exported models', () => {
  it('are found in a folder, below it, and one below that', async () => {
    const root = scratchFolder();
    writeModel(join(root, 'first'), 'first');
    writeModel(join(root, 'second one', 'onnx'), 'second');
    writeModel(join(root, 'a', 'b', 'c'), 'too deep');
    write(join(root, 'run', 'step', 'manifest.json'), '{ "format": "transformer-ls checkpoint" }');
    const { models, unreadable } = await shelfOf(root).list();
    expect(models.map(({ id, name, kind }) => [id, name, kind])).toEqual([
      ['first', 'first', 'language-model'],
      ['second-one', 'second', 'language-model'],
    ]);
    expect(models[0]?.bytes).toBeGreaterThan(1000);
    expect(unreadable).toEqual([]);
    const itself = await shelfOf(join(root, 'first')).list();
    expect(itself.models.map(({ id }) => id)).toEqual(['first']);
  });

  it('of the same name get ids of their own', async () => {
    const [one, two] = [scratchFolder(), scratchFolder()];
    for (const root of [one, two]) writeModel(join(root, 'same'), 'same');
    const shelf = shelfOf(one, two);
    expect((await shelf.list()).models.map(({ id }) => id)).toEqual(['same', 'same-2']);
    expect((await shelf.file('same-2/weights.bin'))?.path).toBe(join(two, 'same', 'weights.bin'));
  });

  it('give out the files that their manifests list, and the manifest', async () => {
    const root = scratchFolder();
    writeModel(join(root, 'm'), 'm');
    write(join(root, 'm', 'secret.txt'), 'x');
    const shelf = shelfOf(root);
    for (const name of ['manifest.json', 'step.onnx', 'block.onnx', 'weights.bin'])
      expect((await shelf.file(`m/${name}`))?.path).toBe(join(root, 'm', name));
    for (const name of ['m/secret.txt', 'm/', 'm', '', 'm/../m/step.onnx', '../m/step.onnx', '__proto__/x'])
      expect(await shelf.file(name)).toBeUndefined();
  });

  it('that are broken or lead elsewhere are listed with the reason', async () => {
    const outside = scratchFolder();
    write(join(outside, 'passwd'), 'x');
    const root = scratchFolder();
    writeModel(join(root, 'good'), 'good');
    writeModel(join(root, 'linked'), 'linked');
    rmSync(join(root, 'linked', 'weights.bin'));
    symlinkSync(join(outside, 'passwd'), join(root, 'linked', 'weights.bin'));
    writeModel(join(root, 'short'), 'short');
    write(join(root, 'short', 'weights.bin'), 'x');
    writeModel(join(root, 'missing'), 'missing');
    rmSync(join(root, 'missing', 'step.onnx'));
    const bad = [{ name: '../../passwd', bytes: 1, sha256: '0'.repeat(64) }];
    writeModel(join(root, 'paths'), 'paths', { files: bad });
    write(join(root, 'text', 'manifest.json'), 'hello');
    const { models, unreadable } = await shelfOf(root).list();
    expect(models.map(({ id }) => id)).toEqual(['good']);
    expect(unreadable?.map(({ id }) => id)).toEqual(['linked', 'missing', 'paths', 'short', 'text']);
    for (const { reason } of unreadable ?? []) expect(reason).not.toContain(root);
  });

  it('that are exported while the server runs are found', async () => {
    const root = scratchFolder();
    const shelf = shelfOf(root);
    expect((await shelf.list()).models).toEqual([]);
    writeModel(join(root, 'new'), 'new');
    expect((await shelf.list()).models).toHaveLength(1);
  });
});
