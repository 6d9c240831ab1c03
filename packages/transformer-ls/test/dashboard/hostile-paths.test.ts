// Paths that want out of the folders, and folders that change under the server.
import { mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { served, statusesIn } from './served.js';
import { linesOf, steps, textRecipe, trained, write, writeModel } from './small-runs.js';

describe('a path that means another in some reading', () => {
  it('is found in none', async () => {
    const server = await served();
    for (const folder of ['.', 'runs', 'models', 'page'])
      write(join(server.root, folder, 'passwd'), 'secret');
    const ups = [
      '%2e%2e',
      '%2E%2e',
      '.%2e',
      '%252e%252e',
      '%25252e%25252e',
      '..%00',
      '%00..',
      '..;',
      '..%3b',
      '..%20',
      '..%09',
      '..%0d%0a',
      '%c0%ae%c0%ae',
      '%e0%80%ae%e0%80%ae',
      '%uff0e%uff0e',
      '%ef%bc%8e%ef%bc%8e',
      '..%c0%af',
      '...',
      '',
    ];
    const joints = ['/', '%2f', '%252f', '\\', '%5c', '%255c', '%c0%af', '%ef%bc%8f', '//', '/./', '%00/'];
    const places = ['/', '/models/', '/models/m/', '/assets/', '/api/', '/models/m/weights.bin/'];
    const targets = ups.flatMap((up) =>
      joints.flatMap((joint) => places.map((place) => `${place}${up}${joint}${up}${joint}passwd`)),
    );
    for (const target of targets) {
      const answer = await server.say(`GET ${target} HTTP/1.1\r\n${server.host}Connection: close\r\n\r\n`);
      expect([target, answer.includes('secret')]).toEqual([target, false]);
      expect([target, statusesIn(answer)]).toEqual([target, [expect.stringMatching(/^40[04]$/)]]);
    }
  });

  it('names no run', async () => {
    const server = await served();
    write(join(server.root, 'outside', 'config.json'), JSON.stringify(textRecipe));
    write(join(server.root, 'outside', 'metrics.jsonl'), linesOf([trained(987654)]));
    const ids = [
      '../outside',
      '..%2foutside',
      '%2e%2e/outside',
      'a/../../outside',
      `${server.root}/outside`,
      'a%00',
      'a/',
      '/a',
      './a',
      'a\\',
    ];
    for (const id of ids)
      for (const path of ['run', 'metrics', 'events']) {
        const target = encodeURI(`/api/${path}?id=${id}`).replaceAll('%25', '%');
        const answer = await server.say(`GET ${target} HTTP/1.1\r\n${server.host}Connection: close\r\n\r\n`);
        expect([target, statusesIn(answer)]).toEqual([target, ['404']]);
      }
  });

  it('may be as long as a request, and have as many parts', async () => {
    const server = await served();
    for (const target of [
      `/models/${'../'.repeat(4000)}passwd`,
      `/${'a/'.repeat(4000)}`,
      `/${'%2e'.repeat(4000)}`,
      `/${'/'.repeat(8000)}`,
    ]) {
      const answer = await server.say(`GET ${target} HTTP/1.1\r\n${server.host}Connection: close\r\n\r\n`);
      expect(statusesIn(answer)).toEqual(['404']);
    }
  });
});

describe('a folder that becomes a link when the server knows it', () => {
  const secret = 'secret weights.bin'.repeat(1000);

  it('shows nothing of where the link leads: a model', async () => {
    const server = await served();
    const known = await fetch(`${server.url}models/m/weights.bin`);
    expect(known.status).toBe(200);
    const { length } = await known.text();
    const elsewhere = join(server.root, 'elsewhere');
    // The same names and sizes, so that nothing but the link tells them apart.
    writeModel(elsewhere, 'm');
    write(join(elsewhere, 'weights.bin'), secret.slice(0, length));
    const model = join(server.root, 'models', 'm');
    renameSync(model, `${model}-before`);
    symlinkSync(elsewhere, model);
    const text = await fetch(`${server.url}models/m/weights.bin`)
      .then((response) => response.text())
      .catch(() => '');
    expect(text).not.toContain('secret');
  });

  it('shows nothing of where the link leads: a run', async () => {
    const server = await served({ freshMs: 1e9 });
    expect((await fetch(`${server.url}api/metrics?id=a`)).status).toBe(200);
    const elsewhere = join(server.root, 'elsewhere');
    mkdirSync(elsewhere);
    write(join(elsewhere, 'config.json'), JSON.stringify(textRecipe));
    write(join(elsewhere, 'metrics.jsonl'), linesOf([...steps(1, 3), trained(987654)]));
    write(join(elsewhere, 'evaluation.json'), JSON.stringify({ secret }));
    rmSync(server.run, { recursive: true });
    symlinkSync(elsewhere, server.run);
    for (const path of ['run', 'metrics']) {
      const text = await (await fetch(`${server.url}api/${path}?id=a`)).text();
      expect(text).not.toContain('987654');
      expect(text).not.toContain('secret');
    }
    const stream = await fetch(`${server.url}api/events?id=a&from=0`);
    const reader = stream.body!.getReader();
    let told = '';
    while (!told.includes('event: runs')) told += Buffer.from((await reader.read()).value!).toString();
    expect(told).not.toContain('987654');
    await reader.cancel();
  });
});
