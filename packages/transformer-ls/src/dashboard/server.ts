/** The dashboard as a server: where it listens, and how much it lets others take. */
import { realpath, stat } from 'node:fs/promises';
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, dirname, join, resolve } from 'node:path';
import { getRequestListener } from '@hono/node-server';
import { closestName, DASHBOARD_PATHS } from '@transformer-ls/formats';
import { errorCode, nodeFileSystem } from '../run/file-system.js';
import { accessAt, drawToken, hostText, isLoopback, isWildcard, outsideAddress } from './access.js';
import { dashboardApp } from './app.js';
import { DashboardError, reasonOf } from './errors.js';
import {
  type DashboardLimits,
  LARGEST_HEADERS,
  MOST_REQUESTS_OF_A_CONNECTION,
  USUAL_LIMITS,
} from './limits.js';
import { ModelShelf } from './model-shelf.js';
import { pageFiles, usualPageFolder } from './page-files.js';
import { Places } from './places.js';
import { RunCatalogue } from './run-catalogue.js';
import { SECURITY_HEADERS } from './security-headers.js';
import { Turnstile } from './turnstile.js';

export interface DashboardOptions {
  /** Holds runs, or is one. */
  readonly folder: string;
  /** Each is an exported model or holds some. */
  readonly models?: readonly string[];
  /** 0: any that is free. */
  readonly port: number;
  readonly host: string;
  /** Default: none on this machine's own address, else one that is drawn. */
  readonly token?: string | undefined;
  /** The built page. Default: where it usually lies. */
  readonly page?: string;
  readonly limits?: Partial<DashboardLimits>;
  /** Told in one line of what should not happen. */
  readonly onProblem: (line: string) => void;
}

export interface Dashboard {
  /** With the token, where one is asked for. */
  readonly url: string;
  readonly port: number;
  readonly token: string | undefined;
  readonly hasPage: boolean;
  /** Ends every connection. */
  close(): Promise<void>;
}

/** Answers when this resolves. @throws DashboardError in one line where it cannot start */
export async function startDashboard(options: DashboardOptions): Promise<Dashboard> {
  const { folder, models = [], port, host, page, onProblem } = options;
  const limits = { ...USUAL_LIMITS, ...options.limits };
  const root = await realFolder(folder);
  const shelves = await Promise.all(
    [...models, ...(models.includes(folder) ? [] : [folder])].map(realFolder),
  );
  const files = await pageFiles(page ?? usualPageFolder());
  const server = limitedServer(limits);
  const bound = await listen(server, port, host);
  const token = options.token ?? (isLoopback(bound.address) ? undefined : drawToken());
  const app = dashboardApp({
    catalogue: new RunCatalogue(root, limits),
    models: new ModelShelf(shelves, limits.freshMs),
    page: files,
    access: accessAt(host, bound.port, token),
    eventClients: new Places(limits.eventClients),
    timing: limits,
    onProblem,
  });
  const listener = getRequestListener(app.fetch, {
    overrideGlobalObjects: false,
    errorHandler: badRequest,
  });
  server.on('request', admitting(listener, new Turnstile(limits.answers)));
  return {
    url: urlOf(host, bound.port, token),
    port: bound.port,
    token,
    hasPage: files.size > 0,
    close: () => close(server),
  };
}

/** @throws DashboardError where there is none, with the name of a neighbour that may have been meant */
async function realFolder(path: string): Promise<string> {
  try {
    if ((await stat(path)).isDirectory()) return await realpath(path);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw new DashboardError(`${path}: ${reasonOf(error)}`);
    const whole = resolve(path);
    const near = closestName(basename(whole), await nodeFileSystem.list(dirname(whole)).catch(() => []));
    const hint = near === undefined ? '' : `; did you mean ${join(dirname(path), near)}?`;
    throw new DashboardError(`${path}: no such folder${hint}`);
  }
  throw new DashboardError(`${path}: expected a folder, found a file`);
}

function limitedServer(limits: DashboardLimits): Server {
  const server = createServer({
    maxHeaderSize: LARGEST_HEADERS,
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.keepAliveMs,
    connectionsCheckingInterval: limits.checkMs,
  });
  server.maxConnections = limits.connections;
  server.maxRequestsPerSocket = MOST_REQUESTS_OF_A_CONNECTION;
  // Without a listener of its own Node ends a connection that is idle for so long.
  server.timeout = limits.idleMs;
  return server;
}

/** Node also takes requests of 1990, which have no version, and some of versions to come. */
const SPOKEN_VERSIONS = ['1.1', '1.0'];

/** Passes on what may be answered, when it may. What waits is bounded by the connections: each has one request at most. */
function admitting(listener: RequestListener, answers: Turnstile): RequestListener {
  return (request, response) => {
    // It came before the one ahead of it was answered. No browser does so; behind an event stream it would wait for good, and its answer with it.
    if (response.socket === null) return void request.socket.destroy();
    if (!SPOKEN_VERSIONS.includes(request.httpVersion)) return refuse(response, 400, 'expected HTTP/1.1');
    // Streams are counted as such: those that come back all at once must not wait behind each other, nor behind a slow client.
    if (request.url?.split('?', 1)[0] === DASHBOARD_PATHS.events) return listener(request, response);
    const leave = answers.enter(() => listener(request, response));
    response.once('close', leave);
  };
}

function refuse(response: ServerResponse, status: number, reason: string): void {
  const headers = { ...SECURITY_HEADERS, 'content-type': 'application/json', connection: 'close' };
  response.writeHead(status, headers).end(JSON.stringify({ error: reason }));
}

async function listen(server: Server, port: number, host: string): Promise<AddressInfo> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(new DashboardError(listenProblem(error, port, host))));
    server.listen(port, host, resolve);
  });
  server.removeAllListeners('error');
  return server.address() as AddressInfo;
}

function listenProblem(error: Error, port: number, host: string): string {
  switch (errorCode(error)) {
    case 'EADDRINUSE':
      return `port ${port} is in use; choose another with --port, or 0 for any that is free`;
    case 'EACCES':
      return `port ${port} may not be used by this user; choose one above 1023 with --port`;
    case 'EADDRNOTAVAIL':
      return `${host} is no address of this machine`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `${host} is no name that this machine can find`;
    default:
      return `cannot listen at ${host}, port ${port}: ${error.message}`;
  }
}

function urlOf(host: string, port: number, token: string | undefined): string {
  const name = isWildcard(host) ? outsideAddress() : host;
  const query = token === undefined ? '' : `?token=${token}`;
  return `http://${hostText(name, port)}/${query}`;
}

/** Answers to what is no request that an application could be asked. */
function badRequest(): Response {
  const headers = { ...SECURITY_HEADERS, 'content-type': 'application/json' };
  return new Response('{"error":"this request cannot be understood"}', { status: 400, headers });
}

async function close(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeAllConnections();
  await closed;
}
