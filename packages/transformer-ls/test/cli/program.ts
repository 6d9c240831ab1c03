// The program as a user runs it, in a folder of its own.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { transpileProgram } from '../train/transpiled-program.js';

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly error: string;
}

export interface Program {
  /** Where commands run; has a blank in its name. */
  readonly folder: string;
  /** The script that Node runs. */
  readonly main: string;
  start(args: readonly string[]): ChildProcess;
  /** Runs to its end with `input`, or nothing, on standard input. */
  run(args: readonly string[], input?: string | Uint8Array): Promise<Ended>;
  remove(): void;
}

export function program(): Program {
  const folder = mkdtempSync(join(tmpdir(), 'tls program '));
  const main = join(transpileProgram(join(folder, 'program')), 'main.js');
  const start = (args: readonly string[]) => spawn(process.execPath, [main, ...args], { cwd: folder });
  return {
    folder,
    main,
    start,
    async run(args, input) {
      const child = start(args);
      // A command that refuses its arguments reads nothing.
      child.stdin.on('error', () => undefined).end(input);
      return ended(child);
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

export async function ended(child: ChildProcess): Promise<Ended> {
  const text = { out: '', error: '' };
  child.stdout!.setEncoding('utf8').on('data', (piece: string) => {
    text.out += piece;
  });
  child.stderr!.setEncoding('utf8').on('data', (piece: string) => {
    text.error += piece;
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, ...text };
}

/** Waits until a training has printed the JSON record of a step, or has ended. */
export async function untilItTrains(child: ChildProcess): Promise<void> {
  await new Promise<void>((resolve) => {
    let text = '';
    child.stdout!.on('data', (part) => {
      text += String(part);
      if (text.includes('"type":"train"')) resolve();
    });
    child.once('close', () => resolve());
  });
}
