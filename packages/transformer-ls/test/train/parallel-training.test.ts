// Several processes train one model: it is the model that one process trains, and it goes on after a stop with any number of them.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { distributedBackends } from '@transformer-ls/torch';
import { beforeAll, describe, expect, it } from 'vitest';
import { startRanks } from '../../../torch/test/programs/ranks.js';
import { readTensors } from '../../src/train/training-state.js';
import { scratchFolder } from '../data/scratch-folder.js';
import { programFolder } from './parallel-program.js';
import { smallConfig } from './small-run.js';

let cli: string;
beforeAll(() => {
  cli = programFolder();
});

const STEPS = 6;

const config = (changes: object = {}, model: object = {}) =>
  smallConfig(
    { batchSize: 4, maxSteps: STEPS, checkpointEverySteps: 3, evaluateEverySteps: 3, ...changes },
    model,
  );

/** Trains in a folder of its own. Gives that, and what each process recorded. */
async function train(world: number, settings: object, from?: string, perSequence = 1) {
  const [scratch, folder] = [scratchFolder(), join(scratchFolder(), 'run')];
  const args = [cli, JSON.stringify({ config: settings, folder, from, perSequence })];
  const path = new URL('./parallel-run.mjs', import.meta.url).pathname;
  const ends = await startRanks(path, args, { world, folder: scratch }).ended;
  for (const end of ends) expect([end.code, end.signal], end.error).toEqual([0, null]);
  const records = ends.map(({ said }) => said as { type: string; step: number; loss: number }[]);
  // What is recorded is that of all together.
  for (const own of records) expect(own).toEqual(records[0]);
  return { folder, records: records[0]! };
}

const checkpoint = (folder: string, step: number) =>
  join(folder, `checkpoints/step-${String(step).padStart(8, '0')}`);

const numbers = async (path: string) => {
  const tensors = await readTensors(path);
  return [...tensors].map(([name, one]): [string, number[]] => [
    name,
    Array.from(one.toTypedArray(), Number),
  ]);
};

/** Largest difference of the numbers in two files of one checkpoint. */
async function difference(one: string, other: string, file: string): Promise<number> {
  const [a, b] = [await numbers(join(one, file)), await numbers(join(other, file))];
  expect(a.map(([name, { length }]) => [name, length])).toEqual(
    b.map(([name, { length }]) => [name, length]),
  );
  const differences = a.flatMap(([, values], i) =>
    values.map((value, at) => Math.abs(value - b[i]![1][at]!)),
  );
  return differences.reduce((most, value) => Math.max(most, value), 0);
}

const FILES = ['model.safetensors', 'optimizer.safetensors', 'memory.safetensors'];

describe.skipIf(!distributedBackends().gloo)('data parallel training', () => {
  it('two processes = one process, to rounding; and so it goes on, with as many or with fewer or more', async () => {
    const [one, two] = [await train(1, config()), await train(2, config())];
    for (const step of [3, STEPS])
      for (const file of FILES)
        expect(
          await difference(checkpoint(one.folder, step), checkpoint(two.folder, step), file),
          `${file}, step ${step}`,
        ).toBeLessThan(1e-12);
    expect(two.records.length).toBe(one.records.length);
    for (const [i, record] of two.records.entries()) {
      expect(record).toMatchObject({ type: one.records[i]!.type, step: one.records[i]!.step });
      expect(record.loss).toBeCloseTo(one.records[i]!.loss, 12);
    }
    // What two have saved one continues, and the other way round; lanes and memories are divided anew.
    const [fewer, more] = [
      await train(1, config(), checkpoint(two.folder, 3)),
      await train(4, config(), checkpoint(one.folder, 3)),
    ];
    for (const { folder } of [fewer, more])
      for (const file of FILES)
        expect(await difference(checkpoint(one.folder, STEPS), checkpoint(folder, STEPS), file)).toBeLessThan(
          1e-12,
        );
  });

  it.each([
    [2, 2],
    [4, 2],
    [4, 4],
  ])(
    '%s processes, %s to a sequence = one process, to rounding; and so one goes on',
    async (world, perSequence) => {
      const settings = config({ activationCheckpointing: world === 4 });
      const [one, several] = [await train(1, settings), await train(world, settings, undefined, perSequence)];
      for (const file of FILES)
        expect(
          await difference(checkpoint(one.folder, STEPS), checkpoint(several.folder, STEPS), file),
          file,
        ).toBeLessThan(1e-12);
      for (const [i, record] of several.records.entries())
        expect(record.loss).toBeCloseTo(one.records[i]!.loss, 12);
      const [alone, spread] = [
        await train(1, settings, checkpoint(several.folder, 3)),
        await train(world, settings, checkpoint(one.folder, 3), perSequence),
      ];
      for (const { folder } of [alone, spread])
        for (const file of FILES)
          expect(
            await difference(checkpoint(one.folder, STEPS), checkpoint(folder, STEPS), file),
          ).toBeLessThan(1e-12);
    },
  );

  it('stopped and continued by two processes = never stopped, byte for byte, dropout, accumulation and recomputation included', async () => {
    const settings = config({ gradientAccumulation: 2, activationCheckpointing: true }, { dropout: 0.1 });
    const straight = await train(2, settings);
    const continued = await train(2, settings, checkpoint(straight.folder, 3));
    for (const file of [...FILES, 'random.safetensors', 'state.json']) {
      const [a, b] = [straight, continued].map(({ folder }) =>
        readFileSync(join(checkpoint(folder, STEPS), file)),
      );
      if (file === 'state.json') expect(withoutTime(b!)).toEqual(withoutTime(a!));
      else expect(Buffer.compare(a!, b!), file).toBe(0);
    }
    // The two drew different numbers.
    const states = await numbers(join(checkpoint(straight.folder, STEPS), 'random.safetensors'));
    expect(states.map(([name]) => name)).toEqual(['cpu', 'cpu.1']);
    expect(states[0]![1]).not.toEqual(states[1]![1]);
    // Others go on too, with random numbers of their own.
    const alone = await train(1, settings, checkpoint(straight.folder, 3));
    expect(alone.records.map(({ loss }) => Number.isFinite(loss))).not.toContain(false);
  });
});

function withoutTime(state: Buffer) {
  const { counters, ...rest } = JSON.parse(state.toString());
  return { ...rest, counters: { ...counters, seconds: 0 } };
}
