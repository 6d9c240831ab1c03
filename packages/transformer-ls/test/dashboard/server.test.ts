// The server on real sockets: what arrives byte for byte, and clients that behave badly.
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type { RunList } from '@transformer-ls/formats';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { type Dashboard, type DashboardOptions, startDashboard } from '../../src/dashboard/server.js';
import { scratchFolder } from '../data/scratch-folder.js';
import { EventClient } from './event-client.js';
import { exchange } from './raw-bytes.js';
import { append, steps, trained, write, writeModel, writePage, writeRun } from './small-runs.js';

let root: string;
let run: string;
let dashboard: Dashboard;
let problems: string[];

async function start(changes: Partial<DashboardOptions> = {}): Promise<Dashboard> {
  const { limits, ...others } = changes;
  dashboard = await startDashboard({
    folder: join(root, 'runs'),
    models: [join(root, 'models')],
    page: join(root, 'page'),
    port: 0,
    host: '127.0.0.1',
    limits: { pollMs: 10, freshMs: 0, restRatio: 0, ...limits },
    onProblem: (line) => problems.push(line),
    ...others,
  });
  return dashboard;
}

beforeEach(() => {
  root = scratchFolder();
  problems = [];
  run = writeRun(join(root, 'runs', 'a'), steps(1, 3));
  writeModel(join(root, 'models', 'm'), 'm');
  writePage(join(root, 'page'));
});

afterEach(async () => {
  await dashboard.close();
  expect(problems).toEqual([]);
});

const raw = (text: string, until?: RegExp) => exchange(dashboard.port, text, until);
const request = (target: string, headers = '') =>
  `GET ${target} HTTP/1.1\r\nHost: 127.0.0.1:${dashboard.port}\r\n${headers}Connection: close\r\n\r\n`;

describe('bytes on the wire', () => {
  it('that ask for files in ways no browser does get none', async () => {
    write(join(root, 'passwd'), 'secret');
    await start();
    const targets = [
      '/models/m/..%2f..%2fetc/passwd',
      '/models/m/../../../passwd',
      '/models/../../passwd',
      '/../passwd',
      '/..%5cpasswd',
      '/assets/..%2f..%2fpasswd',
      '//etc/passwd',
      '/models/m/weights.bin/..',
      encodeURI(`${root}/passwd`),
    ];
    for (const target of targets) {
      const answer = await raw(request(target));
      expect([target, answer.slice(0, 12)]).toEqual([target, 'HTTP/1.1 404']);
      expect(answer).not.toContain('secret');
    }
    for (const target of [
      '/models/m\\..\\passwd',
      'file:///etc/passwd',
      '*',
      'http://[',
      'models/m/weights.bin',
    ])
      expect([target, (await raw(request(target))).slice(9, 12)]).toEqual([
        target,
        expect.stringMatching(/40[034]/),
      ]);
  });

  it('must name the server once and truly', async () => {
    await start();
    const status = async (text: string) => (await raw(text)).slice(9, 12);
    const end = 'Connection: close\r\n\r\n';
    expect(await status(`GET / HTTP/1.1\r\nHost: evil.example\r\n${end}`)).toBe('403');
    expect(await status(`GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n${end}`)).toBe('403');
    expect(await status(`GET / HTTP/1.1\r\n${end}`)).toBe('400');
    expect(await status('GET / HTTP/1.0\r\n\r\n')).toBe('400');
    const own = `127.0.0.1:${dashboard.port}`;
    expect(await status(`GET http://evil.example/ HTTP/1.1\r\nHost: ${own}\r\n${end}`)).toBe('403');
    expect(await status(`GET http://${own}/ HTTP/1.1\r\nHost: evil.example\r\n${end}`)).toBe('403');
    expect(await status(`GET / HTTP/1.1\r\nHost: evil.example@${own}\r\n${end}`)).toMatch(/40[03]/);
    expect(await status(`GET / HTTP/1.1\r\nHost: ${own}\r\n${end}`)).toBe('200');
    expect(await status(request('/', 'Origin: http://evil.example\r\n'))).toBe('403');
  });

  it('can change nothing and bring nothing', async () => {
    await start();
    const host = `Host: 127.0.0.1:${dashboard.port}\r\n`;
    for (const method of ['POST', 'PUT', 'DELETE', 'TRACE', 'OPTIONS', 'PROPFIND'])
      expect(await raw(`${method} /api/runs HTTP/1.1\r\n${host}Connection: close\r\n\r\n`)).toMatch(
        /^HTTP\/1.1 405 /,
      );
    // Ends although the body that was announced never comes.
    expect(await raw(`GET / HTTP/1.1\r\n${host}Content-Length: 1000000\r\n\r\nx`)).toMatch(/^HTTP\/1.1 413 /);
    expect(await raw(`POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n`)).toMatch(
      /^HTTP\/1.1 405 /,
    );
    expect(await raw(request('/', `X: ${'x'.repeat(20_000)}\r\n`))).toMatch(/^HTTP\/1.1 431 /);
    expect(await raw(request(`/?${'x'.repeat(20_000)}`))).toMatch(/^HTTP\/1.1 431 /);
    expect(await raw('nonsense\r\n\r\n')).toMatch(/^HTTP\/1.1 400 /);
    expect(await raw(`CONNECT evil.example:80 HTTP/1.1\r\n${host}\r\n`)).toBe('');
    const upgrade = 'Connection: Upgrade, close\r\nUpgrade: websocket\r\n';
    expect(await raw(`GET /api/runs HTTP/1.1\r\n${host}${upgrade}\r\n`, /unreadable/)).toMatch(
      /^HTTP\/1.1 200 /,
    );
  });

  it('carry a whole model', async () => {
    const bytes = new Uint8Array(3_000_000).map((_, i) => i % 251);
    write(join(root, 'models', 'm', 'weights.bin'), bytes);
    await start();
    // The manifest says another size: the model is not served.
    expect((await fetch(`${dashboard.url}models/m/weights.bin`)).status).toBe(404);
    const sha256 = '0'.repeat(64);
    const files = [{ name: 'weights.bin', bytes: bytes.length, sha256 }];
    writeModel(join(root, 'models', 'm'), 'm', { files, step: null, block: 'weights.bin' });
    write(join(root, 'models', 'm', 'weights.bin'), bytes);
    const response = await fetch(`${dashboard.url}models/m/weights.bin`);
    expect(response.status).toBe(200);
    expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
  });
});

describe('a token', () => {
  it('is drawn where other machines can ask, and asked for', async () => {
    await start({ host: '0.0.0.0' });
    expect(dashboard.token).toMatch(/^[A-Za-z0-9_-]{32}$/);
    expect(dashboard.url).toContain(`/?token=${dashboard.token}`);
    const ask = (path: string, headers = '') => raw(request(path, headers));
    expect(await ask('/api/runs')).toMatch(/^HTTP\/1.1 401 /);
    expect(await ask('/')).toMatch(/^HTTP\/1.1 401 /);
    const first = await ask(`/?token=${dashboard.token}`);
    const [, cookie] = /set-cookie: ([^;]*); Path=\/; HttpOnly; SameSite=Strict/i.exec(first) ?? [];
    expect(await ask('/', `Cookie: ${cookie}\r\n`)).toContain('A page');
    expect(await ask('/api/runs', `Authorization: Bearer ${dashboard.token}\r\n`)).toMatch(/^HTTP\/1.1 200 /);
    expect(await raw(`GET /?token=${dashboard.token} HTTP/1.1\r\nHost: evil.example\r\n\r\n`, /}/)).toContain(
      ' 403 ',
    );
  });

  it('is asked for on this machine where one is given', async () => {
    await start({ token: 'chosen-by-a-test' });
    expect(await raw(request('/api/runs'))).toMatch(/^HTTP\/1.1 401 /);
    expect(await raw(request('/api/runs?token=chosen-by-a-test'))).toMatch(/^HTTP\/1.1 200 /);
  });
});

describe('live events', () => {
  it('bring what a run writes while it trains, and the list when it changes', async () => {
    await start();
    const client = await EventClient.open(dashboard, '?id=a');
    expect(client.response.headers['content-type']).toMatch(/^text\/event-stream/);
    expect(client.response.headers['cross-origin-embedder-policy']).toBe('require-corp');
    expect((await client.metrics()).records).toEqual(steps(1, 3));
    append(run, [trained(4)]);
    expect((await client.metrics()).records).toEqual([trained(4)]);
    writeRun(join(root, 'runs', 'b'));
    let ids: string[] = [];
    while (!ids.includes('b')) {
      const { event, data } = await client.next();
      if (event === 'runs') ids = (JSON.parse(data) as RunList).runs.map(({ id }) => id);
    }
    client.close();
  });

  it('go on where a client was cut off', async () => {
    await start();
    const first = await EventClient.open(dashboard, '?id=a');
    const { lastId } = await first.metrics();
    first.close();
    append(run, steps(4, 6));
    const second = await EventClient.open(dashboard, '?id=a', { 'last-event-id': lastId });
    expect((await second.metrics()).records).toEqual(steps(4, 6));
    second.close();
  });

  it('begin where a client says', async () => {
    await start();
    const { offset } = (await (await fetch(`${dashboard.url}api/metrics?id=a`)).json()) as { offset: number };
    append(run, [trained(4)]);
    const client = await EventClient.open(dashboard, `?id=a&from=${offset}`);
    expect((await client.metrics()).records).toEqual([trained(4)]);
    client.close();
  });

  it('are refused to more clients than there may be, until one leaves', async () => {
    await start({ limits: { eventClients: 2 } });
    const clients = [await EventClient.open(dashboard, '?id=a'), await EventClient.open(dashboard, '')];
    const third = await EventClient.open(dashboard, '?id=a');
    expect(third.response.statusCode).toBe(503);
    expect(JSON.parse(await third.rest())).toEqual({
      error: expect.stringMatching(/^too many pages are open.*$/),
    });
    expect((await fetch(`${dashboard.url}api/runs`)).status).toBe(200);
    for (const method of ['HEAD', 'POST']) await fetch(`${dashboard.url}api/events?id=a`, { method });
    clients[0]!.close();
    let status: number | undefined;
    while (status !== 200) {
      const next = await EventClient.open(dashboard, '?id=a');
      status = next.response.statusCode;
      next.close();
    }
    clients[1]!.close();
  });

  it('end for a client that reads no more, and wait for nobody', async () => {
    await start({ limits: { eventClients: 1, idleMs: 300 } });
    const dead = connect(dashboard.port, '127.0.0.1');
    dead.on('error', () => undefined);
    dead.pause();
    dead.write(`GET /api/events?id=a&from=0 HTTP/1.1\r\nHost: 127.0.0.1:${dashboard.port}\r\n\r\n`);
    onTestFinished(() => {
      dead.destroy();
    });
    // More than the system's buffers take: the server has to wait for this client, and gives it up.
    const isGone = async () => {
      const other = await EventClient.open(dashboard, '?id=a');
      const { statusCode } = other.response;
      other.close();
      return statusCode === 200;
    };
    let step = 3;
    expect(await isGone()).toBe(false);
    const before = process.memoryUsage().rss;
    while (!(await isGone())) {
      append(run, steps(step + 1, step + 2000));
      step += 2000;
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(200e6);
  });

  it('end at once when the server does', async () => {
    await start();
    const client = await EventClient.open(dashboard, '?id=a');
    await client.metrics();
    await dashboard.close();
    await client.rest();
    await expect(fetch(dashboard.url)).rejects.toThrow();
  });
});

describe('connections', () => {
  it('are not taken beyond their number', async () => {
    await start({ limits: { connections: 3 } });
    const sockets: Socket[] = [];
    for (let i = 0; i < 3; i++) sockets.push(connect(dashboard.port, '127.0.0.1'));
    await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
    // Taken in the order in which they came; one more is closed without an answer.
    await expect(fetch(`${dashboard.url}api/runs`)).rejects.toThrow();
    for (const socket of sockets) socket.destroy();
    for (;;) {
      const answer = await fetch(`${dashboard.url}api/runs`).catch(() => undefined);
      if (answer?.status === 200) break;
    }
  });

  it('that say nothing end', async () => {
    await start({ limits: { idleMs: 100 } });
    expect(await raw('')).toBe('');
    expect(await raw('GET / HTTP/1.1\r\nHost:')).toMatch(/^(HTTP\/1.1 408.*)?$/s);
  });
});

describe('a server that cannot start', () => {
  it('says why in one line', async () => {
    await start();
    const usual = { folder: join(root, 'runs'), host: '127.0.0.1', port: 0, onProblem: () => undefined };
    const again = (changes: Partial<DashboardOptions>) => startDashboard({ ...usual, ...changes });
    await expect(again({ port: dashboard.port })).rejects.toThrow(
      /^port \d+ is in use; choose another with --port/,
    );
    await expect(again({ folder: join(root, 'run') })).rejects.toThrow(
      /no such folder; did you mean .*runs\?$/,
    );
    await expect(again({ folder: join(root, 'page', 'index.html') })).rejects.toThrow(
      /expected a folder, found a file$/,
    );
    await expect(again({ models: [join(root, 'none-such')] })).rejects.toThrow(/no such folder$/);
    await expect(again({ host: '203.0.113.7' })).rejects.toThrow('203.0.113.7 is no address of this machine');
  });
});
