import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { LraTable, ModelList, RunDetails, RunList, RunMetrics } from '@transformer-ls/formats';
import { beforeEach, describe, expect, it } from 'vitest';
import { accessAt } from '../../src/dashboard/access.js';
import { dashboardApp } from '../../src/dashboard/app.js';
import { USUAL_LIMITS } from '../../src/dashboard/limits.js';
import { ModelShelf } from '../../src/dashboard/model-shelf.js';
import { pageFiles } from '../../src/dashboard/page-files.js';
import { Places } from '../../src/dashboard/places.js';
import { RunCatalogue } from '../../src/dashboard/run-catalogue.js';
import { scratchFolder } from '../data/scratch-folder.js';
import { evaluated, steps, trained, write, writeModel, writePage, writeRun } from './small-runs.js';

const HOST = '127.0.0.1:4321';
const TOKEN = 'a-token-of-a-test';

let root: string;
let problems: string[];
let eventClients: Places;

async function appOf({ token = undefined as string | undefined, host = '127.0.0.1', hasPage = true } = {}) {
  const pace = { freshMs: 0, restRatio: 0 };
  return dashboardApp({
    catalogue: new RunCatalogue(join(root, 'runs'), pace),
    models: new ModelShelf([join(root, 'models')], 0),
    page: await pageFiles(hasPage ? writePage(join(root, 'page')) : join(root, 'nothing')),
    access: accessAt(host, 4321, token),
    eventClients,
    timing: { ...USUAL_LIMITS, pollMs: 5 },
    onProblem: (line) => problems.push(line),
  });
}

async function ask(path: string, init: RequestInit = {}, options: Parameters<typeof appOf>[0] = {}) {
  const headers = { host: HOST, ...(init.headers as object) };
  return (await appOf(options)).request(`http://${HOST}${path}`, { ...init, headers });
}

const jsonOf = async <T>(path: string) => {
  const response = await ask(path);
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toMatch(/^application\/json/);
  expect(response.headers.get('cache-control')).toBe('no-store');
  return (await response.json()) as T;
};

beforeEach(() => {
  root = scratchFolder();
  problems = [];
  eventClients = new Places(2);
  writeRun(join(root, 'runs', 'a'), [...steps(1, 4), evaluated(4, 2.5, true)]);
  writeModel(join(root, 'models', 'm'), 'm');
});

describe('what is asked for', () => {
  it('is answered as the contract says', async () => {
    expect((await jsonOf<RunList>('/api/runs')).runs.map(({ id, step }) => [id, step])).toEqual([['a', 4]]);
    expect((await jsonOf<RunDetails>('/api/run?id=a')).config).toMatchObject({ kind: 'training' });
    const metrics = await jsonOf<RunMetrics>('/api/metrics?id=a');
    expect(metrics.records).toEqual([...steps(1, 4), evaluated(4, 2.5, true)]);
    expect(metrics.offset).toBeGreaterThan(500);
    expect(await jsonOf<LraTable>('/api/lra')).toEqual({ rows: [] });
    expect((await jsonOf<ModelList>('/api/models')).models.map(({ id }) => id)).toEqual(['m']);
  });

  it('has numbers that are not finite as null', async () => {
    writeRun(join(root, 'runs', 'nan'), [
      trained(1, { loss: Number.NaN, gradNorm: Number.POSITIVE_INFINITY }),
    ]);
    const { records } = await jsonOf<RunMetrics>('/api/metrics?id=nan');
    expect(records[0]).toMatchObject({ loss: null, gradNorm: null, bpc: 3 });
  });

  it('may be a run in folders, and one that has just begun', async () => {
    const app = await appOf();
    writeRun(join(root, 'runs', 'b', 'c'));
    const response = await app.request(`http://${HOST}/api/run?id=b%2Fc`, { headers: { host: HOST } });
    expect(((await response.json()) as RunDetails).id).toBe('b/c');
  });

  it('is refused in one line where there is no such thing', async () => {
    const cases: [string, number, RegExp][] = [
      ['/api/run?id=none', 404, /no run has this id/],
      ['/api/run?id=../a', 404, /no run has this id/],
      ['/api/run?id=a%00', 404, /no run has this id/],
      ['/api/metrics?id=__proto__', 404, /no run has this id/],
      ['/api/run', 400, /expected one id, received 0/],
      ['/api/metrics?id=a&id=a', 400, /expected one id, received 2/],
      ['/api/events?id=none', 404, /no run has this id/],
      ['/api/events?id=a&from=x', 400, /from/],
      ['/api/events?id=a&from=1&from=2', 400, /from/],
      [`/api/events?${'id=a&'.repeat(65)}`, 400, /at most 64/],
      ['/api/none', 404, /nothing here/],
      ['/models/m/none.bin', 404, /no model has this file/],
      ['/models/none/manifest.json', 404, /no model has this file/],
      ['/assets/none.js', 404, /nothing here/],
    ];
    for (const [path, status, reason] of cases) {
      const response = await ask(path);
      expect([path, response.status]).toEqual([path, status]);
      expect(((await response.json()) as { error: string }).error).toMatch(reason);
    }
    expect(eventClients.free).toBe(2);
  });

  it('is never found by a path that leads out', async () => {
    write(join(root, 'passwd'), 'secret');
    write(join(root, 'page', '.env'), 'secret');
    const names = [
      '..%2f..%2fpasswd',
      '../../passwd',
      '%2e%2e/%2e%2e/passwd',
      '..\\..\\passwd',
      '....//passwd',
    ];
    const paths = names.flatMap((name) => [
      `/${name}`,
      `/models/m/${name}`,
      `/assets/${name}`,
      `/api/${name}`,
    ]);
    for (const path of [
      ...paths,
      '//etc/passwd',
      '/%00',
      '/%',
      '/models/%ff/x',
      '/models/m/manifest.json%00.html',
    ]) {
      const response = await ask(path);
      expect([path, response.status]).toEqual([path, 404]);
      expect(await response.text()).not.toContain('secret');
    }
  });

  it('fails in one line that the server prints, without a stack', async () => {
    const app = await appOf();
    rmSync(join(root, 'page', 'index.html'));
    mkdirSync(join(root, 'page', 'index.html'));
    const response = await app.request(`http://${HOST}/`, { headers: { host: HOST } });
    expect(response.status).toBe(404);
    write(join(root, 'page', 'assets', 'index-AbCd1234.js'), 'longer than before');
    const script = await app.request(`http://${HOST}/assets/index-AbCd1234.js`, { headers: { host: HOST } });
    expect(script.status).toBe(500);
    expect(await script.json()).toEqual({ error: expect.stringMatching(/^[^\n]+$/) });
    expect(problems).toEqual([expect.stringContaining('the file was changed')]);
  });
});

describe('files', () => {
  it('of the page have types, and hashed ones may be kept', async () => {
    const index = await ask('/');
    expect(await index.text()).toContain('A page');
    expect(index.headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(index.headers.get('cache-control')).toBe('private, no-cache');
    const script = await ask('/assets/index-AbCd1234.js');
    expect(script.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
    expect(script.headers.get('cache-control')).toContain('immutable');
    expect((await ask('/assets/engine-AbCd1234.wasm')).headers.get('content-type')).toBe('application/wasm');
  });

  it('of models come whole, and once where the browser has them', async () => {
    const response = await ask('/models/m/weights.bin');
    const bytes = new Uint8Array(await response.arrayBuffer());
    expect(response.headers.get('content-length')).toBe(String(bytes.length));
    expect(new TextDecoder().decode(bytes)).toBe('m weights.bin'.repeat(1000));
    const etag = response.headers.get('etag')!;
    const again = await ask('/models/m/weights.bin', { headers: { 'if-none-match': etag } });
    expect([again.status, await again.text()]).toEqual([304, '']);
    const head = await ask('/models/m/weights.bin', { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length')]).toEqual([200, String(bytes.length)]);
    expect(await head.text()).toBe('');
  });

  it('are replaced by one line where the page is not built', async () => {
    const response = await ask('/', {}, { hasPage: false });
    expect(response.status).toBe(200);
    expect(await response.text()).toContain('npm run web');
  });
});

describe('every answer', () => {
  it('says that nothing from elsewhere may be loaded, and that nobody else may load it', async () => {
    for (const path of ['/', '/api/runs', '/models/m/weights.bin', '/none', '/api/run']) {
      const { headers } = await ask(path);
      const policy = headers.get('content-security-policy')!;
      expect(policy).toContain("default-src 'self'");
      expect(policy).toContain("script-src 'self' 'wasm-unsafe-eval'");
      expect(policy).not.toMatch(/https?:|\*|'unsafe-(inline|eval)'/);
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('referrer-policy')).toBe('no-referrer');
      expect(headers.get('cross-origin-opener-policy')).toBe('same-origin');
      expect(headers.get('cross-origin-embedder-policy')).toBe('require-corp');
      expect(headers.get('cross-origin-resource-policy')).toBe('same-origin');
      expect(headers.get('access-control-allow-origin')).toBeNull();
    }
  });
});

describe('who asks', () => {
  const status = async (headers: Record<string, string>, method = 'GET') =>
    (await ask('/api/runs', { headers, method })).status;

  it('must name this server', async () => {
    for (const host of [HOST, 'localhost:4321', '[::1]:4321', 'LOCALHOST:4321'])
      expect([host, await status({ host })]).toEqual([host, 200]);
    const others = [
      'evil.example',
      'evil.example:4321',
      '127.0.0.1',
      '127.0.0.1:80',
      'localhost',
      '127.0.0.2:4321',
    ];
    for (const host of [
      ...others,
      '192.168.1.2:4321',
      '',
      'localhost:4321.evil.example',
      'localhost:4321@evil',
    ])
      expect([host, await status({ host })]).toEqual([host, 403]);
    const app = await appOf();
    expect((await app.request(`http://${HOST}/api/runs`)).status).toBe(403);
    const other = await app.request('http://evil.example/api/runs', { headers: { host: HOST } });
    expect(other.status).toBe(403);
  });

  it('must not be a page of another site', async () => {
    expect(await status({ origin: `http://${HOST}` })).toBe(200);
    for (const origin of [
      'http://evil.example',
      'null',
      `https://${HOST}`,
      'http://localhost:4321',
      'http://127.0.0.1',
    ])
      expect([origin, await status({ origin })]).toEqual([origin, 403]);
    expect(await status({ 'sec-fetch-site': 'same-origin' })).toBe(200);
    expect(await status({ 'sec-fetch-site': 'none' })).toBe(200);
    for (const site of ['cross-site', 'same-site'])
      expect(await status({ 'sec-fetch-site': site })).toBe(403);
    const link = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' };
    expect(await status({ ...link, 'sec-fetch-dest': 'document' })).toBe(200);
    expect(await status({ ...link, 'sec-fetch-dest': 'iframe' })).toBe(403);
  });

  it('can only read', async () => {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
      const response = await ask('/api/runs', { method });
      expect([method, response.status]).toEqual([method, 405]);
      expect(response.headers.get('allow')).toBe('GET, HEAD');
    }
    expect(await status({ 'content-length': '5' })).toBe(413);
    expect(await status({}, 'HEAD')).toBe(200);
  });

  it('must know the token where there is one: in the address once, in a cookie, or in a header', async () => {
    const token = TOKEN;
    const reach = (path: string, headers: Record<string, string> = {}) => ask(path, { headers }, { token });
    for (const path of [
      '/',
      '/api/runs',
      '/models/m/weights.bin',
      '/assets/index-AbCd1234.js',
      '/api/events',
    ]) {
      const response = await reach(path);
      expect([path, response.status]).toEqual([path, 401]);
      expect(await response.text()).not.toContain(token);
    }
    expect((await reach('/api/runs?token=wrong')).status).toBe(401);
    expect((await reach('/api/runs', { authorization: 'Bearer wrong' })).status).toBe(401);
    expect((await reach('/api/runs', { cookie: 'transformer-ls-4321=wrong' })).status).toBe(401);
    expect((await reach('/api/runs', { cookie: `transformer-ls-1=${token}` })).status).toBe(401);
    expect((await reach('/api/runs', { authorization: `Bearer ${token}` })).status).toBe(200);
    expect((await reach(`/api/runs?token=${token}`)).status).toBe(200);
    const first = await reach(`/?token=${token}`);
    const cookie = first.headers.get('set-cookie')!;
    expect(cookie).toBe(`transformer-ls-4321=${token}; Path=/; HttpOnly; SameSite=Strict`);
    // The page comes from an address without the token.
    expect(await first.text()).toContain('url=./');
    const second = await reach('/', { cookie: cookie.split(';')[0]! });
    expect(await second.text()).toContain('A page');
  });

  it('may use any name of a machine that listens at all of its addresses, and the one it listens at', async () => {
    const { hosts } = accessAt('0.0.0.0', 4321, TOKEN);
    expect(hosts.has('localhost:4321')).toBe(true);
    expect(hosts.has('evil.example:4321')).toBe(false);
    expect(accessAt('fe80::1', 80, undefined).hosts).toContain('[fe80::1]');
    expect(accessAt('Box.local', 8080, undefined).hosts).toContain('box.local:8080');
  });
});
