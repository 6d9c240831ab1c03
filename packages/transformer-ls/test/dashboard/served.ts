// A server over small runs, with short times, for tests of its promises.
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import type { DashboardLimits } from '../../src/dashboard/limits.js';
import { type Dashboard, startDashboard } from '../../src/dashboard/server.js';
import { scratchFolder } from '../data/scratch-folder.js';
import { exchange } from './raw-bytes.js';
import { steps, writeModel, writePage, writeRun } from './small-runs.js';

export interface Served extends Dashboard {
  readonly root: string;
  /** Folder of the run `a`. */
  readonly run: string;
  /** `Host: …` as it must be, with the end of its line. */
  readonly host: string;
  /** What the server told of; a test that expects something takes it out. */
  readonly problems: string[];
  /** Sends bytes as they are. */
  say(bytes: string | Buffer, until?: RegExp): Promise<string>;
  /** Whether somebody else is still answered. */
  answersOthers(): Promise<boolean>;
}

/** Runs `a`, model `m` and a page. */
export async function served(limits: Partial<DashboardLimits> = {}): Promise<Served> {
  const root = scratchFolder();
  const run = writeRun(join(root, 'runs', 'a'), steps(1, 3));
  writeModel(join(root, 'models', 'm'), 'm');
  writePage(join(root, 'page'));
  const problems: string[] = [];
  const dashboard = await startDashboard({
    folder: join(root, 'runs'),
    models: [join(root, 'models')],
    page: join(root, 'page'),
    port: 0,
    host: '127.0.0.1',
    limits: { pollMs: 10, freshMs: 0, restRatio: 0, eventRestRatio: 0, ...limits },
    onProblem: (line) => problems.push(line),
  });
  onTestFinished(async () => {
    await dashboard.close();
    expect(problems).toEqual([]);
  });
  const say = (bytes: string | Buffer, until?: RegExp) => exchange(dashboard.port, bytes, until);
  return {
    ...dashboard,
    root,
    run,
    problems,
    host: `Host: 127.0.0.1:${dashboard.port}\r\n`,
    say,
    answersOthers: async () => (await fetch(`${dashboard.url}api/runs`)).status === 200,
  };
}

/** Statuses of all answers in what came over a connection. */
export function statusesIn(answer: string): string[] {
  return [...answer.matchAll(/(?:^|\n|\})HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => status!);
}
