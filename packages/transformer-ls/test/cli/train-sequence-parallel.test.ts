// `train --sequence-parallel N`: what a user sees, and what is left when one of the processes of a sequence is gone.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { distributedBackends } from '@transformer-ls/torch';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ended, type Program, untilItTrains } from './program.js';
import { processesOf, programWithText, smallTraining } from './train-processes.js';

let cli: Program;
beforeAll(() => {
  cli = programWithText();
});
afterAll(() => cli.remove());

/** Losses of a run's steps. */
function lossesOf(run: string): number[] {
  const lines = readFileSync(join(cli.folder, run, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n');
  return lines.map((line) => JSON.parse(line)).flatMap(({ type, loss }) => (type === 'train' ? [loss] : []));
}

const spread = ['--processes', '2', '--sequence-parallel', '2'];

describe.skipIf(!distributedBackends().gloo)('train --sequence-parallel', () => {
  it('trains the same model as one process, writes one run, and says how to go on', async () => {
    const train = (run: string, ...more: string[]) =>
      cli.run(['train', ...smallTraining, '--batch', '1', '--steps', '6', '--out', run, ...more]);
    const [one, two] = [await train('one'), await train('two', ...spread)];
    for (const result of [one, two]) expect(result, result.error).toMatchObject({ code: 0 });
    expect(two.out).toContain('2 processes, 2 to a sequence: until 6 steps');
    const [alone, together] = [lossesOf('one'), lossesOf('two')];
    expect(together).toHaveLength(6);
    // float32: sums in another order.
    for (const [i, loss] of together.entries()) expect(loss).toBeCloseTo(alone[i]!, 4);
    const more = await cli.run(['train', '--resume', 'two', '--steps', '8', '--processes', '2']);
    expect(more, more.error).toMatchObject({ code: 2 }); // one lane for two
    const again = await cli.run(['train', '--resume', 'two', '--steps', '8', ...spread]);
    expect(again, again.error).toMatchObject({ code: 0 });
    expect(again.out).toContain('until 8 steps, from step 6');
  });

  it.each([
    [
      ['--segment', '12', '--batch', '1', ...spread],
      'segments of 12 tokens cannot be divided among 2 processes in chunks of 4; take a multiple of 8',
    ],
    [
      ['--processes', '3', '--sequence-parallel', '2'],
      '3 processes cannot be divided into groups of 2 for each sequence',
    ],
    [
      ['--set', 'model.mode=reference', '--set', 'model.vocabularySize=30', ...spread],
      'language models of mode reference cannot be spread over processes; take mode consistent',
    ],
  ])('refuses %j in one line', async (flags, message) => {
    const refused = await cli.run(['train', ...smallTraining, ...flags, '--out', 'refused']);
    expect(refused).toMatchObject({
      code: 2,
      error: `transformer-ls train: --sequence-parallel: ${message}\n`,
    });
    expect(existsSync(join(cli.folder, 'refused'))).toBe(false);
  });

  it('refuses to share sequences with nobody', async () => {
    const refused = await cli.run([
      'train',
      ...smallTraining,
      '--sequence-parallel',
      '2',
      '--out',
      'refused',
    ]);
    expect(refused).toMatchObject({
      code: 2,
      error:
        'transformer-ls train: --sequence-parallel 2 needs as many processes: --processes 2, or those of a launcher\n',
    });
  });

  it('when one of them is killed all end and the message names it', async () => {
    const args = [
      ...smallTraining,
      '--batch',
      '1',
      '--max-time',
      '1h',
      '--out',
      'killed',
      '--json',
      ...spread,
    ];
    const child = cli.start(['train', ...args]);
    const end = ended(child);
    await untilItTrains(child);
    const pids = processesOf(child.pid!);
    process.kill(pids.get(1)!, 'SIGKILL');
    const { code, error } = await end;
    expect(code).toBe(1);
    expect(error).toMatch(
      new RegExp(
        `^transformer-ls train: rank 1 \\(process ${pids.get(1)}\\) was ended by SIGKILL .*; all 2 processes have ended; .*--processes 2 --sequence-parallel 2 --json\n$`,
      ),
    );
  });
});
