import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ended, type Program, program } from '../cli/program.js';
import { writeModel, writeRun } from './small-runs.js';

let tool: Program;

beforeAll(() => {
  tool = program();
  writeRun(join(tool.folder, 'runs', 'a'));
  writeModel(join(tool.folder, 'exported', 'm'), 'm');
});
afterAll(() => tool.remove());

/** Starts the command and waits for what it prints first. */
async function serving(args: readonly string[]) {
  const child = tool.start(['dashboard', ...args]);
  const end = ended(child);
  const line = await new Promise<string>((resolve, reject) => {
    child.stdout!.once('data', (text: string) => resolve(text));
    end.then(({ error }) => reject(new Error(error)), reject);
  });
  return { child, end, line };
}

describe('transformer-ls dashboard', () => {
  it('prints its address, serves, and ends on Ctrl-C with the code of an interrupted command', async () => {
    const { child, end, line } = await serving(['--port', '0', '--models', 'exported']);
    const [, url] = /^(http:\/\/127\.0\.0\.1:\d+\/) \(Ctrl-C ends it\)\n$/.exec(line) ?? [];
    const runs = (await (await fetch(`${url}api/runs`)).json()) as { runs: { id: string }[] };
    expect(runs.runs.map(({ id }) => id)).toEqual(['a']);
    const models = (await (await fetch(`${url}api/models`)).json()) as { models: { id: string }[] };
    expect(models.models.map(({ id }) => id)).toEqual(['m']);
    const events = await fetch(`${url}api/events?id=a`);
    child.kill('SIGINT');
    await events.text().catch(() => undefined);
    const { code, error } = await end;
    expect(code).toBe(130);
    expect(error).toBe('transformer-ls dashboard: the page is not built; npm run web builds it\n');
  });

  it('prints JSON, with the token in the address', async () => {
    const { child, end, line } = await serving(['runs/a', '--port', '0', '--host', '0.0.0.0', '--json']);
    const { url, port } = JSON.parse(line) as { url: string; port: number };
    expect(new URL(url).port).toBe(String(port));
    const token = new URL(url).searchParams.get('token');
    const answer = (asked: string | null) => fetch(`http://127.0.0.1:${port}/api/runs?token=${asked}`);
    expect((await answer('wrong')).status).toBe(401);
    expect((await answer(token)).status).toBe(200);
    child.kill('SIGTERM');
    expect((await end).code).toBe(130);
  });

  it('says in one line what it cannot do', async () => {
    mkdirSync(join(tool.folder, 'empty'), { recursive: true });
    const cases: [string[], number, RegExp][] = [
      [['run'], 1, /^transformer-ls dashboard: run: no such folder; did you mean runs\?\n$/],
      [['runs/a/config.json'], 1, /config.json: expected a folder, found a file\n$/],
      [['--models', 'none', '--port', '0'], 1, /none: no such folder\n$/],
      [['--port', '70000'], 2, /Expected a whole number at least 0 and at most 65535/],
      [['--token', 'short'], 2, /Expected 8 to 200 letters/],
      [['runs', 'more'], 2, /too many arguments/],
      [['--bogus'], 2, /unknown option/],
    ];
    for (const [args, code, text] of cases) {
      const found = await tool.run(['dashboard', ...args]);
      expect([args, found.code, found.error]).toEqual([args, code, expect.stringMatching(text)]);
      expect(found.error.trim().split('\n')).toHaveLength(1);
      expect(found.out).toBe('');
    }
  });
});
