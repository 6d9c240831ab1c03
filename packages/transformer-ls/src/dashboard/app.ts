/** What the server answers to which request. */

import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { DASHBOARD_PATHS } from '@transformer-ls/formats';
import { type Context, Hono, type MiddlewareHandler } from 'hono';
import { getCookie, setCookie } from 'hono/cookie';
import { type Access, type Refusal, refusalOf, tokenPlace } from './access.js';
import { bytesAnswer } from './bytes-answer.js';
import { UnreadableError } from './errors.js';
import { beginEvents, type Connected, EVENT_HEADERS } from './event-answer.js';
import { EventHub, type EventTiming } from './event-hub.js';
import { placesOfId } from './event-state.js';
import { fileAnswer } from './file-answer.js';
import { lraTable } from './lra-rows.js';
import { MetricsSamples } from './metrics-samples.js';
import type { TailPlace } from './metrics-tail.js';
import type { ModelShelf } from './model-shelf.js';
import { oneLineOf } from './one-line.js';
import { PAGE_INDEX, type PageFile } from './page-files.js';
import type { Places } from './places.js';
import type { RunCatalogue, ShownRun } from './run-catalogue.js';
import { runDetails } from './run-details.js';
import { SECURITY_HEADERS } from './security-headers.js';

/** What the answers are made from. */
export interface DashboardParts {
  readonly catalogue: RunCatalogue;
  readonly models: ModelShelf;
  readonly page: ReadonlyMap<string, PageFile>;
  readonly access: Access;
  readonly eventClients: Places;
  readonly timing: EventTiming;
  /** Told in one line of what should not happen. */
  readonly onProblem: (line: string) => void;
}

const MOST_EVENT_RUNS = 64;
const LONGEST_PROBLEM = 500;
/** What changes is asked for each time. */
const NEVER_KEPT = { 'cache-control': 'no-store' };
const JSON_NEVER_KEPT = { ...NEVER_KEPT, 'content-type': 'application/json' };
const ASK_AGAIN = 'private, no-cache';
const KEPT_FOR_GOOD = 'private, max-age=31536000, immutable';

export function dashboardApp(parts: DashboardParts): Hono {
  const app = new Hono();
  app.use(withSecurityHeaders);
  app.use(guard(parts.access));
  addApi(app, parts);
  app.get(`${DASHBOARD_PATHS.modelFiles}*`, (c) => modelFile(c, parts));
  app.get('*', (c) => pageFile(c, parts));
  app.onError((error, c) => failure(c, error, parts.onProblem));
  return app;
}

function addApi(app: Hono, parts: DashboardParts): void {
  const { catalogue, models, timing } = parts;
  const samples = new MetricsSamples();
  const hub = new EventHub(catalogue, samples, timing);
  const json = (c: Context, value: unknown) => c.json(value as object, 200, NEVER_KEPT);
  app.get(DASHBOARD_PATHS.runs, async (c) => c.body((await catalogue.snapshot()).text, 200, JSON_NEVER_KEPT));
  app.get(DASHBOARD_PATHS.run, async (c) => {
    const run = await oneRun(c, catalogue);
    return run instanceof Response ? run : json(c, await runDetails(run));
  });
  app.get(DASHBOARD_PATHS.metrics, async (c) => {
    const run = await oneRun(c, catalogue);
    if (run instanceof Response) return run;
    return bytesAnswer((await samples.of(run)).answer(), JSON_NEVER_KEPT);
  });
  app.get(DASHBOARD_PATHS.events, (c) => events(c, parts, hub));
  app.get(DASHBOARD_PATHS.lra, async (c) =>
    json(c, await lraTable((await catalogue.snapshot()).runs.values())),
  );
  app.get(DASHBOARD_PATHS.models, async (c) => json(c, await models.list()));
}

const withSecurityHeaders: MiddlewareHandler = async (c, next) => {
  await next();
  for (const [name, value] of Object.entries(SECURITY_HEADERS)) c.res.headers.set(name, value);
};

/** Refuses what may not be asked. A token in the address of the page moves into a cookie. */
function guard(access: Access): MiddlewareHandler {
  return async (c, next) => {
    const refusal = refusalOf(c.req.raw, access);
    if (refusal !== undefined) return refused(c, refusal);
    const place = tokenPlace(c.req.raw, getCookie(c, access.cookie), access);
    if (place === undefined)
      return refused(c, { status: 401, reason: 'expected the address that was printed, with its token' });
    if (place !== 'address' || c.req.path !== '/') return next();
    setCookie(c, access.cookie, access.token ?? '', { httpOnly: true, sameSite: 'Strict', path: '/' });
    // A redirect would not do: browsers keep strict cookies back from one that a link of another site led to.
    return c.html(
      '<!doctype html><meta http-equiv="refresh" content="0; url=./"><title>Transformer-LS</title>',
    );
  };
}

function refused(c: Context, { status, reason }: Refusal): Response {
  if (status === 405) c.header('allow', 'GET, HEAD');
  if (status === 401) c.header('www-authenticate', 'Bearer');
  // What follows on the connection may be the body that nobody reads.
  if (status === 405 || status === 413) c.header('connection', 'close');
  return problem(c, status, reason);
}

function problem(
  c: Context,
  status: 400 | 401 | 403 | 404 | 405 | 413 | 500 | 503,
  reason: string,
): Response {
  return c.json({ error: reason }, status, NEVER_KEPT);
}

function failure(c: Context, error: Error, onProblem: (line: string) => void): Response {
  if (error instanceof UnreadableError) return problem(c, 404, error.message);
  onProblem(oneLineOf(`${c.req.path}: ${error.message}`, LONGEST_PROBLEM));
  return problem(c, 500, 'something went wrong in the server; it printed what');
}

/** Ends an answer that has begun, and says why in one line: the library would print a stack, and add the reason to what was sent. */
function cutting(c: Context, onProblem: (line: string) => void): (error: Error) => void {
  return ({ message }) => {
    onProblem(oneLineOf(`${c.req.path}: ${message}`, LONGEST_PROBLEM));
    (c.env as Partial<Connected>).outgoing?.destroy();
  };
}

async function oneRun(c: Context, catalogue: RunCatalogue): Promise<ShownRun | Response> {
  const ids = c.req.queries('id') ?? [];
  if (ids.length !== 1) return problem(c, 400, `expected one id, received ${ids.length}`);
  return (await catalogue.find(ids[0]!)) ?? problem(c, 404, 'no run has this id');
}

async function events(c: Context, parts: DashboardParts, hub: EventHub): Promise<Response> {
  const { catalogue, eventClients } = parts;
  const ids = c.req.queries('id') ?? [];
  if (ids.length > MOST_EVENT_RUNS)
    return problem(c, 400, `expected at most ${MOST_EVENT_RUNS} runs, received ${ids.length}`);
  const starts = startsOf(c, ids.length);
  if (starts === undefined) return problem(c, 400, 'expected as many whole numbers in from as ids');
  const found = await Promise.all(ids.map((id) => catalogue.find(id)));
  const runs = found.filter((run) => run !== undefined).map(({ id, folder }) => ({ id, folder }));
  if (runs.length < ids.length) return problem(c, 404, 'no run has this id');
  if (c.req.method === 'HEAD') return new Response(null, { headers: EVENT_HEADERS });
  const free = eventClients.take();
  if (free === undefined)
    return problem(c, 503, 'too many pages are open: close some, and load this one again');
  let leave: (() => void) | undefined;
  const connected = c.env as Connected;
  beginEvents(connected, () => {
    free();
    leave?.();
  });
  leave = hub.open(connected.outgoing, runs, starts);
  if (connected.incoming.socket.destroyed) leave();
  return RESPONSE_ALREADY_SENT;
}

/** Where each run's records begin: where the client was cut off, else where it says, else shortly before the end. */
function startsOf(c: Context, count: number): readonly (TailPlace | undefined)[] | undefined {
  const places = placesOfId(c.req.header('last-event-id'), count);
  if (places !== undefined) return places;
  const from = c.req.queries('from') ?? [];
  if (from.length === 0) return Array.from({ length: count }, () => undefined);
  if (from.length !== count || from.some((text) => !/^\d{1,15}$/.test(text))) return undefined;
  return from.map((text) => ({ offset: Number(text), identity: undefined }));
}

async function modelFile(c: Context, { models, onProblem }: DashboardParts): Promise<Response> {
  const file = await models.file(c.req.path.slice(DASHBOARD_PATHS.modelFiles.length));
  if (file === undefined) return problem(c, 404, 'no model has this file');
  const served = { ...file, tag: file.sha256, cacheControl: ASK_AGAIN };
  return fileAnswer(c.req.raw, served, cutting(c, onProblem));
}

async function pageFile(c: Context, { page, onProblem }: DashboardParts): Promise<Response> {
  const path = c.req.path === '/' ? PAGE_INDEX : c.req.path;
  const file = page.get(path);
  if (file === undefined && path === PAGE_INDEX)
    return c.html('The page is not built: run <code>npm run web</code> in a clone of the project.');
  if (file === undefined) return problem(c, 404, 'there is nothing here');
  const cacheControl = file.isHashed ? KEPT_FOR_GOOD : ASK_AGAIN;
  const served = { ...file, tag: `${file.bytes}-${Math.round(file.modified)}`, cacheControl };
  return fileAnswer(c.req.raw, served, cutting(c, onProblem));
}
