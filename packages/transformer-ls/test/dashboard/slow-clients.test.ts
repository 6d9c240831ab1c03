// Clients that are slow, stand still, or vanish: each holds little, and not for long.
import { truncateSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it, onTestFinished } from 'vitest';
import { LARGEST_MESSAGE } from '../../src/dashboard/metrics-tail.js';
import { EventClient } from './event-client.js';
import { answerOn, connected } from './raw-bytes.js';
import { type Served, served, statusesIn } from './served.js';
import { append, evaluated, steps, trained, write, writeModel } from './small-runs.js';

const NEVER = 1e9;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** Bytes that this process, which is the server too, holds outside of the heap and in it. */
async function heldBytes(): Promise<number> {
  // What one collection finds unused outside of the heap is given back by the next.
  collectGarbage();
  await sleep(50);
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const LARGE = 60_000_000;

/** A model `m` with weights of that many bytes, all zeros. Returns their path. */
function writeLargeModel({ root }: Served): string {
  const model = join(root, 'models', 'm');
  const weights = join(model, 'weights.bin');
  writeModel(model, 'm', {
    files: [{ name: 'weights.bin', bytes: LARGE, sha256: '0'.repeat(64) }],
    step: null,
    block: 'weights.bin',
  });
  write(weights, '');
  truncateSync(weights, LARGE);
  return weights;
}

/** Says so much and then nothing more; reads nothing. */
async function standing(server: Served, text: string): Promise<Socket> {
  const socket = await connected(server.port);
  socket.pause();
  socket.write(text);
  onTestFinished(() => void socket.destroy());
  return socket;
}

/** One that is being answered, of which it has taken note without reading on. */
async function standingAnswered(server: Served, text: string): Promise<Socket> {
  const socket = await standing(server, text);
  await new Promise<void>((resolve) => socket.once('readable', resolve));
  return socket;
}

/** Says a text byte by byte until the other side has enough of it; gives what it said. */
async function dripped(server: Served, text: string): Promise<string> {
  const socket = await connected(server.port);
  let isOver = false;
  const answer = answerOn(socket).finally(() => {
    isOver = true;
  });
  for (let i = 0; !isOver; i++) {
    socket.write(text[i % text.length]!);
    await sleep(10);
  }
  return answer;
}

async function untilStatus(server: Served, path: string, wanted: number): Promise<void> {
  for (;;) {
    const { status, body } = await fetch(`${server.url}${path}`);
    await body?.cancel();
    if (status === wanted) return;
  }
}

const follow = (server: Served) => `GET /api/events?id=a HTTP/1.1\r\n${server.host}\r\n`;

describe('a request that comes byte by byte', () => {
  it('has a time in which its headers are there, however steadily they drip', async () => {
    const server = await served({ headersMs: 200, requestMs: 300, checkMs: 20, idleMs: NEVER });
    const forms = [
      `GET / HTTP/1.1\r\n${server.host}X: ${'x'.repeat(10_000)}`,
      `GET / HTTP/1.1\r\n${server.host}${'A: b\r\n'.repeat(2000)}`,
      `GET /${'x'.repeat(10_000)}`,
      '\r\n'.repeat(5000),
    ];
    for (const text of forms) expect(statusesIn(await dripped(server, text))).toEqual(['408']);
  });

  it('is answered where it is there in time', async () => {
    const server = await served();
    const text = `GET /api/runs HTTP/1.1\r\n${server.host}Connection: close\r\n\r\n`;
    const socket = await connected(server.port);
    const answer = answerOn(socket);
    for (const byte of text) {
      socket.write(byte);
      await sleep(1);
    }
    expect(statusesIn(await answer)).toEqual(['200']);
  });
});

describe('a connection on which no request comes', () => {
  it('ends after an answer', async () => {
    const server = await served({ keepAliveMs: 100, idleMs: NEVER });
    expect(statusesIn(await server.say(`GET /api/runs HTTP/1.1\r\n${server.host}\r\n`))).toEqual(['200']);
  });
});

describe('a client that takes nothing', () => {
  it('of a file holds one piece of it, and its place for a limited time', async () => {
    const server = await served({ answers: 3, idleMs: 1000 });
    writeLargeModel(server);
    const before = await heldBytes();
    for (let i = 0; i < 30; i++)
      await standing(server, `GET /models/m/weights.bin HTTP/1.1\r\n${server.host}\r\n`);
    // Live events do not wait behind them.
    const client = await EventClient.open(server, '?id=a');
    await client.metrics();
    client.close();
    expect((await heldBytes()) - before).toBeLessThan(5e6);
    // Whoever asks in the meantime waits; some give up.
    for (;;) if ((await fetch(`${server.url}api/runs`).catch(() => undefined))?.status === 200) break;
  });

  it('of the records of a run shares them with all who do the same', async () => {
    const server = await served({ idleMs: NEVER });
    const evaluations = Array.from({ length: 20_000 }, (_, i) => evaluated(i, 2, false));
    append(server.run, evaluations);
    const { length } = await (await fetch(`${server.url}api/metrics?id=a`)).text();
    const before = await heldBytes();
    const standstills = 50;
    for (let i = 0; i < standstills; i++)
      await standing(server, `GET /api/metrics?id=a HTTP/1.1\r\n${server.host}\r\n`);
    expect(await server.answersOthers()).toBe(true);
    // Each holds a piece; copies would be fifty times the records.
    expect(length).toBeGreaterThan(3e6);
    expect((await heldBytes()) - before).toBeLessThan(standstills * 300_000);
  });

  it('of events holds one message, however much is written meanwhile', async () => {
    const server = await served({ idleMs: NEVER });
    const standstills = 20;
    for (let i = 0; i < standstills; i++) await standingAnswered(server, follow(server));
    const good = await EventClient.open(server, '?id=a');
    let step = 3;
    const write = async () => {
      append(server.run, steps(step + 1, step + 500));
      step += 500;
      let last: number | undefined;
      while (last !== step) last = (await good.metrics()).records.at(-1)?.step;
    };
    // More than the system's buffers take for any of them.
    for (let i = 0; i < 40; i++) await write();
    const before = await heldBytes();
    for (let i = 0; i < 80; i++) await write();
    expect((await heldBytes()) - before).toBeLessThan(standstills * 2 * LARGEST_MESSAGE);
    good.close();
  });

  it('of events loses its place when nothing has moved for a while, though there is much to send', async () => {
    const server = await served({ idleMs: 200, eventClients: 1 });
    await standingAnswered(server, follow(server));
    await untilStatus(server, 'api/events', 503);
    let step = 3;
    for (let status = 503; status !== 200; ) {
      append(server.run, steps(step + 1, step + 2000));
      step += 2000;
      const client = await EventClient.open(server, '?id=a');
      client.close();
      status = client.response.statusCode!;
    }
  });
});

describe('a client that vanishes without a word', () => {
  it('loses its place when the longest time of a stream is over, though the system takes every heartbeat', async () => {
    const server = await served({ idleMs: NEVER, heartbeatMs: 20, streamMs: 500, eventClients: 1 });
    await standingAnswered(server, follow(server));
    await untilStatus(server, 'api/events', 503);
    await untilStatus(server, 'api/events', 200);
  });

  it('costs one that lives nothing: it comes back where it was', async () => {
    const server = await served({ streamMs: 100 });
    let id = '';
    const seen: number[] = [];
    for (let streams = 0; streams < 5; streams++) {
      const client = await EventClient.open(server, '?id=a', id === '' ? {} : { 'last-event-id': id });
      append(server.run, [trained(4 + streams)]);
      const text = await client.rest();
      for (const [, last, data] of text.matchAll(/^event: metrics\nid: (.*)\ndata: (.*)$/gm)) {
        id = last!;
        seen.push(...(JSON.parse(data!).records as { step: number }[]).map(({ step }) => step));
      }
    }
    expect(seen).toEqual(steps(1, seen.length).map(({ step }) => step));
    expect(seen.length).toBeGreaterThan(6);
  });

  it('in the midst of a request or of nothing is forgotten', async () => {
    const server = await served({ connections: 2, headersMs: 200, requestMs: 300, checkMs: 20, idleMs: 200 });
    await standing(server, '');
    await standing(server, `GET / HTTP/1.1\r\n${server.host}`);
    await expect(fetch(server.url)).rejects.toThrow();
    for (;;) if ((await fetch(server.url).catch(() => undefined))?.status === 200) break;
  });
});

describe('a file that becomes shorter while it is sent', () => {
  it('ends the connection, and is told of in one line', async () => {
    const server = await served();
    const weights = writeLargeModel(server);
    const ask = `GET /models/m/weights.bin HTTP/1.1\r\n${server.host}\r\n`;
    const socket = await standingAnswered(server, ask);
    truncateSync(weights, 1000);
    const answer = await answerOn(socket);
    expect(answer.length).toBeLessThan(LARGE);
    expect(answer).toMatch(/^HTTP\/1.1 200 /);
    expect(answer.slice(-1000)).not.toContain('rror');
    expect(server.problems.splice(0)).toEqual([
      '/models/m/weights.bin: weights.bin: became shorter while it was sent',
    ]);
  });
});
