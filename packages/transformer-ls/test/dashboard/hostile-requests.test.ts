// Requests that no browser sends: two readings of one text, several at once, more than there is room for.
import { describe, expect, it } from 'vitest';
import { LARGEST_HEADERS } from '../../src/dashboard/limits.js';
import { EventClient } from './event-client.js';
import { answerOn, connected } from './raw-bytes.js';
import { served, statusesIn } from './served.js';

describe('a request that can be read in two ways', () => {
  /** What a reader of the other way would take for a second request. */
  const hidden = (host: string) => `GET /api/runs HTTP/1.1\r\n${host}\r\n`;

  it('is refused, and nothing behind it is answered', async () => {
    const server = await served();
    const { host } = server;
    const second = hidden(host);
    const forms: Record<string, string> = {
      'a length and chunks': `GET / HTTP/1.1\r\n${host}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${second}`,
      'chunks and a length': `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n${second}`,
      'two lengths': `GET / HTTP/1.1\r\n${host}Content-Length: 0\r\nContent-Length: ${second.length}\r\n\r\n${second}`,
      'a list of lengths': `GET / HTTP/1.1\r\n${host}Content-Length: 0, ${second.length}\r\n\r\n${second}`,
      'a signed length': `GET / HTTP/1.1\r\n${host}Content-Length: +0\r\n\r\n${second}`,
      'a negative length': `GET / HTTP/1.1\r\n${host}Content-Length: -1\r\n\r\n${second}`,
      'a hexadecimal length': `GET / HTTP/1.1\r\n${host}Content-Length: 0x10\r\n\r\n${second}`,
      'a length beyond all numbers': `GET / HTTP/1.1\r\n${host}Content-Length: 99999999999999999999999\r\n\r\n${second}`,
      'an unknown encoding': `POST / HTTP/1.1\r\n${host}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${second}`,
      'chunks that are not last': `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${second}`,
      'two encodings': `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n${second}`,
      'a blank before the colon': `GET / HTTP/1.1\r\n${host}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${second}`,
      'a folded line': `GET / HTTP/1.1\r\n${host}X: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n${second}`,
      'a tab before the encoding': `POST / HTTP/1.1\r\n${host}Transfer-Encoding:\tchunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n${second}`,
      'a lone line end': `GET / HTTP/1.1\n${host}\n${second}`,
      'a lone carriage return': `GET / HTTP/1.1\r${host}X: y\rTransfer-Encoding: chunked\r\n\r\n${second}`,
      'a chunk of bad size': `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n${second}`,
      'a chunk with an extension that never ends': `POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n1;${'x'.repeat(100_000)}`,
      'a body of a whole request': `GET / HTTP/1.1\r\n${host}Content-Length: ${second.length}\r\n\r\n${second}`,
      'a body in chunks': `GET / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n${second.length.toString(16)}\r\n${second}\r\n0\r\n\r\n`,
    };
    for (const [form, text] of Object.entries(forms)) {
      const statuses = statusesIn(await server.say(text));
      // Nothing, or one refusal; the connection has ended, or this would wait.
      expect([form, statuses]).toEqual([
        form,
        statuses.filter((status) => /^4\d\d$/.test(status)).slice(0, 1),
      ]);
    }
    expect(await server.answersOthers()).toBe(true);
  });
});

describe('a request that is none', () => {
  it('is refused, whatever follows it', async () => {
    const server = await served();
    const { host } = server;
    const forms: Record<string, string | Buffer> = {
      'no method': ` / HTTP/1.1\r\n${host}\r\n`,
      'an unknown method': `FETCH / HTTP/1.1\r\n${host}\r\n`,
      'a method in small letters': `get / HTTP/1.1\r\n${host}\r\n`,
      'a method without end': 'G'.repeat(100_000),
      'no version': `GET /\r\n${host}\r\n`,
      'another protocol': `GET / SMTP/1.0\r\n${host}\r\n`,
      'a version of tomorrow': `GET / HTTP/2.0\r\n${host}\r\n`,
      'the beginning of HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
      'the beginning of TLS': Buffer.from('16030100c8010000c40303', 'hex'),
      'a target with a NUL': `GET /\0 HTTP/1.1\r\n${host}\r\n`,
      'a target with a line end': `GET /\r\nX: y HTTP/1.1\r\n${host}\r\n`,
      'a target with bytes beyond ASCII': Buffer.from(`GET /\xff\xfe HTTP/1.1\r\n${host}\r\n`, 'latin1'),
      'a header with a NUL': `GET / HTTP/1.1\r\n${host}X: a\0b\r\n\r\n`,
      'a header without a name': `GET / HTTP/1.1\r\n${host}: x\r\n\r\n`,
      'a header without a colon': `GET / HTTP/1.1\r\n${host}nonsense\r\n\r\n`,
      'random bytes': Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 7919 + 13) % 256)),
    };
    for (const [form, bytes] of Object.entries(forms)) {
      const statuses = statusesIn(await server.say(bytes, /\r\n\r\n/));
      expect([form, statuses]).toEqual([
        form,
        statuses.filter((status) => /^40[0345]$/.test(status)).slice(0, 1),
      ]);
    }
    expect(await server.answersOthers()).toBe(true);
  });

  it('ends a connection on which a good one went before it', async () => {
    const server = await served();
    const socket = await connected(server.port);
    socket.write(`GET /api/runs HTTP/1.1\r\n${server.host}\r\n`);
    const first = await new Promise<string>((resolve) => socket.once('data', resolve));
    expect(statusesIn(first)).toEqual(['200']);
    socket.write('\x01\x02garbage\r\n\r\n');
    expect(statusesIn(await answerOn(socket))).toEqual(['400']);
  });

  it('cannot name two servers, nor one twice', async () => {
    const server = await served();
    const { host } = server;
    const end = 'Connection: close\r\n\r\n';
    for (const hosts of [`${host}Host: evil.example\r\n`, `Host: evil.example\r\n${host}`, host + host])
      expect(statusesIn(await server.say(`GET /api/runs HTTP/1.1\r\n${hosts}${end}`))[0]).toMatch(/^40[03]$/);
    for (const name of [
      '127.0.0.1.evil.example',
      '0x7f.1',
      '2130706433',
      '127.1',
      '[::ffff:127.0.0.1]',
      'localhost.',
    ])
      expect([
        name,
        statusesIn(await server.say(`GET / HTTP/1.1\r\nHost: ${name}:${server.port}\r\n${end}`)),
      ]).toEqual([name, [expect.stringMatching(/^40[03]$/)]]);
    const own = host.slice('Host: '.length).trim();
    for (const origin of [
      `http://${own}, http://evil.example`,
      `http://${own}/`,
      `http://${own}\r\nOrigin: http://evil.example`,
    ])
      expect([
        origin,
        statusesIn(await server.say(`GET /api/runs HTTP/1.1\r\n${host}Origin: ${origin}\r\n${end}`)),
      ]).toEqual([origin, [expect.stringMatching(/^40[03]$/)]]);
  });
});

describe('a request that is too large', () => {
  it('is refused before it has arrived', async () => {
    const server = await served();
    const { host } = server;
    const much = 'x'.repeat(LARGEST_HEADERS);
    expect(statusesIn(await server.say(`GET /${much} HTTP/1.1\r\n${host}\r\n`))).toEqual(['431']);
    expect(statusesIn(await server.say(`GET / HTTP/1.1\r\n${host}X: ${much}\r\n\r\n`))).toEqual(['431']);
    expect(statusesIn(await server.say(`GET / HTTP/1.1\r\n${host}${much}: y\r\n\r\n`))).toEqual(['431']);
    const many = Array.from({ length: 5000 }, (_, i) => `X${i}: y\r\n`).join('');
    expect(statusesIn(await server.say(`GET / HTTP/1.1\r\n${host}${many}\r\n`))).toEqual(['431']);
    // None of these ever ends.
    expect(statusesIn(await server.say(`GET /${much.repeat(4)}`))).toEqual(['431']);
    expect(statusesIn(await server.say(`GET / HTTP/1.1\r\n${host}${many}`))).toEqual(['431']);
    for (const body of [
      'Content-Length: 1000000000000\r\n\r\n',
      'Transfer-Encoding: chunked\r\n\r\nfffffff\r\n',
    ])
      expect(statusesIn(await server.say(`POST /api/runs HTTP/1.1\r\n${host}${body}${much}`))).toEqual([
        '405',
      ]);
    expect(await server.answersOthers()).toBe(true);
  });

  it('is passed over where it is merely long', async () => {
    const server = await served();
    const long = 'x'.repeat(LARGEST_HEADERS / 2);
    const end = `HTTP/1.1\r\n${server.host}Connection: close\r\n\r\n`;
    expect(statusesIn(await server.say(`GET /${long} ${end}`))).toEqual(['404']);
    expect(statusesIn(await server.say(`GET /models/${'a/'.repeat(4000)} ${end}`))).toEqual(['404']);
    expect(statusesIn(await server.say(`GET /api/run?id=${long} ${end}`))).toEqual(['404']);
    expect(statusesIn(await server.say(`GET /api/run?${'id=a&'.repeat(1500)} ${end}`))).toEqual(['400']);
    expect(statusesIn(await server.say(`GET /api/events?${'id=a&'.repeat(1500)} ${end}`))).toEqual(['400']);
  });
});

describe('requests that do not wait for the answer before', () => {
  it('end their connection, and take no place from others', async () => {
    const server = await served({ eventClients: 1, answers: 4 });
    const ask = (path: string) => `GET ${path} HTTP/1.1\r\n${server.host}\r\n`;
    for (let i = 0; i < 20; i++) await server.say(ask('/api/events?id=a').repeat(50));
    for (let i = 0; i < 20; i++)
      await server.say(ask('/api/events?id=a') + ask('/api/metrics?id=a').repeat(200));
    for (let i = 0; i < 20; i++) await server.say(ask('/api/metrics?id=a').repeat(500));
    expect(await server.answersOthers()).toBe(true);
    for (;;) {
      const client = await EventClient.open(server, '?id=a');
      client.close();
      if (client.response.statusCode === 200) break;
    }
  });

  it('are asked again later by those who wait: one connection serves many', async () => {
    const server = await served();
    const socket = await connected(server.port);
    for (let i = 0; i < 50; i++) {
      socket.write(`GET /api/runs HTTP/1.1\r\n${server.host}\r\n`);
      let answer = '';
      while (!answer.includes('unreadable'))
        answer += await new Promise<string>((resolve) => socket.once('data', resolve));
      expect(statusesIn(answer)).toEqual(['200']);
    }
    socket.destroy();
  });
});
