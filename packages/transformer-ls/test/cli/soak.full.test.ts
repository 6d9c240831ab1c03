// Ten thousand steps hold no more memory at their end than after a quarter of them, with one process and with two.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { distributedBackends } from '@transformer-ls/torch';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { syntheticBytes } from '../../src/data/synthetic.js';
import { lossesOf } from './finished-run.js';
import { type Program, program } from './program.js';
import { smallTrainingWith } from './train-processes.js';

const STEPS = 10_000;
/** Of 5,000 steps. Records for the curves are kept, up to a number; V8 grows and shrinks its heap by 16 MiB, touched or not. */
const SLACK_MIB = { heap: 3, native: 24 };
const MIB = 2 ** 20;

interface Sample {
  readonly rss: number;
  /** Without pages of files and what V8 has reserved. */
  readonly native: number;
  readonly heapUsed: number;
  readonly liveTensors: number;
  readonly allocatedBytes: number;
}

let cli: Program;
beforeAll(() => {
  cli = program();
  writeFileSync(
    join(cli.folder, 'text.txt'),
    syntheticBytes('pattern', { bytes: 30_000, seed: 1, distance: 100 }),
  );
});
afterAll(() => cli.remove());

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1]!;

/** Medians of the second and of the last quarter of a training. */
function quarters(samples: readonly Sample[], what: keyof Sample): [number, number] {
  const part = (from: number, to: number) =>
    median(samples.slice(from * samples.length, to * samples.length).map((one) => one[what]));
  return [part(0.25, 0.5), part(0.75, 1)];
}

/** @returns role of a process → what it held, in the order of time */
async function soak(processes: number): Promise<Map<string, Sample[]>> {
  const [name, watched] = [`soak-${processes}`, join(cli.folder, `watched-${processes}`)];
  mkdirSync(watched);
  const watch = fileURLToPath(new URL('./soak-watch.mjs', import.meta.url));
  process.env.TLS_SOAK_FOLDER = watched;
  process.env.NODE_OPTIONS = `--import=${watch}`;
  try {
    const { code, error } = await cli.run([
      ...['train', ...smallTrainingWith({ checkpointEverySteps: 500, evaluateEverySteps: 500 }), '--json'],
      ...['--steps', String(STEPS), '--processes', String(processes), '--out', name],
    ]);
    expect(code, error).toBe(0);
  } finally {
    delete process.env.NODE_OPTIONS;
    delete process.env.TLS_SOAK_FOLDER;
  }
  expect(lossesOf(join(cli.folder, name))).toHaveLength(STEPS);
  return new Map(
    readdirSync(watched).map((file) => {
      const lines = readFileSync(join(watched, file), 'utf8').trim().split('\n');
      return [
        file.replace(/(-\d+)?\.jsonl$/, file.startsWith('rank') ? '$1' : ''),
        lines.map((line): Sample => JSON.parse(line)),
      ];
    }),
  );
}

it.each([1, 2])('%s process(es): memory stays, tensors stay', async (processes) => {
  if (processes > 1 && !distributedBackends().gloo) return;
  const held = await soak(processes);
  expect([...held.keys()].filter((role) => role.startsWith('rank'))).toHaveLength(processes);
  for (const [role, samples] of held) {
    const [before, after] = quarters(samples, 'native');
    const [rssBefore, rssAfter] = quarters(samples, 'rss');
    const [tensorsBefore, tensorsAfter] = quarters(samples, 'liveTensors');
    const [bytesBefore, bytesAfter] = quarters(samples, 'allocatedBytes');
    const [heapBefore, heapAfter] = quarters(samples, 'heapUsed');
    const inMib = [rssBefore, rssAfter, before, after, heapBefore, heapAfter].map((bytes) =>
      (bytes / MIB).toFixed(1),
    );
    console.log(
      `${processes} process(es), ${role}: ${inMib[0]} then ${inMib[1]} MiB resident, ${inMib[2]} then ${inMib[3]} of native memory, ${inMib[4]} then ${inMib[5]} of JavaScript’s objects; ${tensorsBefore} then ${tensorsAfter} tensors of ` +
        `${(bytesBefore / 1024).toFixed(1)} then ${(bytesAfter / 1024).toFixed(1)} KiB; ${samples.length} samples`,
    );
    expect(after - before, role).toBeLessThan(SLACK_MIB.native * MIB);
    expect(heapAfter - heapBefore, role).toBeLessThan(SLACK_MIB.heap * MIB);
    expect(tensorsAfter, role).toBe(tensorsBefore);
    expect(bytesAfter, role).toBe(bytesBefore);
  }
});
