/** Several processes of one test program that meet through a file, as those of a launcher do. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface RankEnd {
  readonly code: number | null;
  readonly signal: string | null;
  /** What it printed as JSON, a line each. */
  readonly said: readonly unknown[];
  readonly error: string;
}

export interface StartedRanks {
  readonly children: readonly ChildProcess[];
  readonly ended: Promise<RankEnd[]>;
}

/** @param args of the program, after the place of the library @param folder for the file at which they meet; it must be a new one */
export function startRanks(
  program: string,
  args: readonly string[],
  { world, folder, env = {} }: { world: number; folder: string; env?: NodeJS.ProcessEnv },
): StartedRanks {
  const path = fileURLToPath(new URL(program, import.meta.url));
  const children = Array.from({ length: world }, (_, rank) =>
    spawn(process.execPath, [path, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        RANK: String(rank),
        WORLD_SIZE: String(world),
        LOCAL_RANK: String(rank),
        LOCAL_WORLD_SIZE: String(world),
        TRANSFORMER_LS_RENDEZVOUS: join(folder, 'store'),
        ...env,
      },
    }),
  );
  return { children, ended: Promise.all(children.map(endOf)) };
}

function endOf(child: ChildProcess): Promise<RankEnd> {
  let [out, error] = ['', ''];
  child.stdout!.setEncoding('utf8').on('data', (text) => {
    out += text;
  });
  child.stderr!.setEncoding('utf8').on('data', (text) => {
    error += text;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      const said = out
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line): unknown => JSON.parse(line));
      resolve({ code, signal, said, error });
    });
  });
}
