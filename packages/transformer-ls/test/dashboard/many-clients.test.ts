// As many clients as there may be, on a server of its own process with its usual limits.
import { readdirSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { MOST_EVENT_CLIENTS } from '../../src/dashboard/limits.js';
import { ended, program } from '../cli/program.js';
import { append, steps, trained, writeRun } from './small-runs.js';

const CLIENTS = 1000;
/** Far above what was measured (docs/limits.md), far below what a copy of everything for each would be. */
const MOST_BYTES_OF_A_CLIENT = 100_000;

/** A client that keeps the steps it was told of, and nothing else. */
class Client {
  readonly steps: number[] = [];
  lists = 0;
  status = '';
  private text = '';
  private readonly socket: Socket;
  private waiting: { holds: () => boolean; resolve: () => void } | undefined;
  isClosed = false;

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1');
    this.socket.setEncoding('latin1').on('error', () => undefined);
    this.socket.on('data', (piece: string) => this.take(piece));
    this.socket.on('close', () => {
      this.isClosed = true;
      this.look();
    });
    this.socket.write(`GET /api/events?id=a&from=0 HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
  }

  until(holds: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.waiting = { holds, resolve };
      this.look();
    });
  }

  close(): void {
    this.socket.destroy();
  }

  private take(piece: string): void {
    this.text += piece;
    const blocks = this.text.split('\n\n');
    this.text = blocks.pop()!;
    for (const block of blocks) {
      this.status ||= /HTTP\/1\.1 (\d+)/.exec(block)?.[1] ?? '';
      if (block.includes('event: runs')) this.lists += 1;
      if (!block.includes('event: metrics')) continue;
      const { records } = JSON.parse(/^data: (.*)$/m.exec(block)![1]!) as { records: { step: number }[] };
      this.steps.push(...records.map(({ step }) => step));
    }
    this.status ||= /HTTP\/1\.1 (\d+)/.exec(this.text)?.[1] ?? '';
    this.look();
  }

  private look(): void {
    if (this.waiting === undefined || !(this.isClosed || this.waiting.holds())) return;
    this.waiting.resolve();
    this.waiting = undefined;
  }
}

/** What a process holds: bytes of memory and open files; undefined where the system does not tell. */
function held(pid: number): { bytes: number; files: number } | undefined {
  try {
    const [, kilobytes] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))!;
    return { bytes: 1024 * Number(kilobytes), files: readdirSync(`/proc/${pid}/fd`).length };
  } catch {
    return undefined;
  }
}

it('a thousand clients get every event once and in order, hold little, and leave nothing behind', async () => {
  const tool = program();
  onTestFinished(() => tool.remove());
  const run = writeRun(join(tool.folder, 'runs', 'a'), steps(1, 3));
  const child = tool.start(['dashboard', 'runs', '--port', '0', '--json']);
  const end = ended(child);
  onTestFinished(async () => {
    child.kill('SIGTERM');
    await end;
  });
  const line = await new Promise<string>((resolve) => child.stdout!.once('data', resolve));
  const start = held(child.pid!);
  const { port } = JSON.parse(line) as { port: number };
  const open = (count: number) => Array.from({ length: count }, () => new Client(port));
  const until = (clients: readonly Client[], holds: (client: Client) => boolean) =>
    Promise.all(clients.map((client) => client.until(() => holds(client))));

  // They are the first that ask: as many at once, before the server knows any run.
  const first = open(CLIENTS);
  await until(first, ({ steps }) => steps.length === 3);
  expect(first.filter(({ status }) => status !== '200')).toEqual([]);
  for (const client of first) client.close();
  await until(first, ({ isClosed }) => isClosed);
  const before = held(child.pid!);

  let last = 3;
  for (let wave = 0; wave < 2; wave++) {
    const clients = open(CLIENTS);
    const all = () => Array.from({ length: last }, (_, i) => i + 1);
    await until(clients, ({ steps }) => steps.length === last);
    for (let news = 0; news < 3; news++) {
      last += 1;
      append(run, [trained(last)]);
      await until(clients, ({ steps }) => steps.at(-1) === last);
    }
    await until(clients, ({ lists }) => lists > 0);
    for (const client of clients) expect(client.steps).toEqual(all());
    const now = held(child.pid!);
    if (start !== undefined && now !== undefined)
      expect((now.bytes - start.bytes) / CLIENTS).toBeLessThan(MOST_BYTES_OF_A_CLIENT);

    // The limit is a limit, also at its full height, and those within it stay.
    const more = open(MOST_EVENT_CLIENTS - CLIENTS + 1);
    await until(more, ({ status }) => status !== '');
    expect(more.filter(({ status }) => status === '503')).toHaveLength(1);
    expect(clients.filter(({ isClosed }) => isClosed)).toEqual([]);
    for (const client of [...clients, ...more]) client.close();
    await until([...clients, ...more], ({ isClosed }) => isClosed);
    // The server learns of it a moment later.
    while (before !== undefined && held(child.pid!)!.files > before.files)
      await new Promise((resolve) => setTimeout(resolve, 20));
  }
});
