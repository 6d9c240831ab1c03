// Trainings of several processes, and what tests ask about them.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { syntheticBytes } from '../../src/data/synthetic.js';
import { type Program, program } from './program.js';

/** The program in a folder with text.txt. */
export function programWithText(): Program {
  const cli = program();
  const text = syntheticBytes('pattern', { bytes: 30_000, seed: 1, distance: 100 });
  writeFileSync(join(cli.folder, 'text.txt'), text);
  return cli;
}

const SMALL = {
  'model.layers': 1,
  'model.modelDim': 16,
  'model.heads': 2,
  'model.innerDim': 16,
  'model.windowSize': 8,
  'model.chunkSize': 4,
  'model.memoryLength': 32,
  'schedule.warmupSteps': 1,
  checkpointEverySteps: 5,
  evaluateEverySteps: 1_000_000,
  evaluateTokens: 64,
  threads: 1,
};

/** A model so small that a step takes milliseconds, on text.txt in the folder; other settings by their names in the configuration. */
export function smallTrainingWith(settings: Partial<Record<keyof typeof SMALL, number>> = {}): string[] {
  const sets = Object.entries({ ...SMALL, ...settings }).flatMap(([key, value]) => [
    '--set',
    `${key}=${value}`,
  ]);
  return [
    'text/small',
    '--from',
    'text.txt',
    '--data-folder',
    'data',
    '--batch',
    '4',
    '--segment',
    '16',
    ...sets,
  ];
}

export const smallTraining = smallTrainingWith();

/** Rank → process id of the children of a command. */
export function processesOf(parent: number): Map<number, number> {
  const found = new Map<number, number>();
  for (const name of readdirSync('/proc').filter((one) => /^\d+$/.test(one))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) !== parent) continue;
      const rank = /(?:^|\0)RANK=(\d+)\0/.exec(readFileSync(`/proc/${name}/environ`, 'utf8'))?.[1];
      if (rank !== undefined) found.set(Number(rank), Number(name));
    } catch {
      // It has just ended.
    }
  }
  return found;
}

/** That of TORCHRUN, beside TORCH_PYTHON or in the PATH, if it is of torch 2: Debian's 1.13 breaks under Python 3.11. */
export const torchrun = findTorchrun();

/** For the names of tests. */
export const cannotRunTorchrun =
  torchrun === undefined ? ' (skipped: no torchrun of torch 2; TORCHRUN may name one)' : '';

function findTorchrun(): string | undefined {
  const { TORCHRUN, TORCH_PYTHON, PATH = '' } = process.env;
  if (TORCHRUN !== undefined) return TORCHRUN;
  const folders = [...(TORCH_PYTHON === undefined ? [] : [dirname(TORCH_PYTHON)]), ...PATH.split(delimiter)];
  return folders
    .map((folder) => join(folder, 'torchrun'))
    .find((path) => existsSync(path) && isOfTorch2(path));
}

/** Asked of the Python that its first line names. */
function isOfTorch2(path: string): boolean {
  const python = /^#!\s*(\S+)/.exec(readFileSync(path, 'utf8'))?.[1];
  if (python === undefined) return false;
  try {
    const version = execFileSync(python, ['-c', 'import torch; print(torch.__version__)'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return Number(version.split('.')[0]) >= 2;
  } catch {
    return false;
  }
}
