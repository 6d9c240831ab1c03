/**
 * Who may ask. A page of any site can send requests to this machine, and with a name that it lets point here (DNS rebinding) it could
 * read the answers too: so the names that a request gives must be our own. Beyond this machine a token is asked for as well.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { isIP } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';

export interface Access {
  /** Every `name:port` under which the server may be asked. */
  readonly hosts: ReadonlySet<string>;
  /** Undefined where none is asked for. */
  readonly token: string | undefined;
  /** Name of the cookie that keeps the token. Cookies know no ports: it holds the port's number. */
  readonly cookie: string;
}

/** An answer that is not what was asked for. */
export interface Refusal {
  readonly status: 400 | 401 | 403 | 405 | 413;
  readonly reason: string;
}

/** Whether an address, or `localhost`, cannot be reached from other machines. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/** @param host the address or name the server was told to listen at */
export function accessAt(host: string, port: number, token: string | undefined): Access {
  const names = ['localhost', '127.0.0.1', '::1', host];
  if (isWildcard(host)) names.push(hostname(), ...ownAddresses());
  const hosts = new Set(names.flatMap((name) => hostTexts(name, port)));
  return { hosts, token, cookie: `transformer-ls-${port}` };
}

export function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}

/** An address at which other machines may reach a server that listens at all of them. */
export function outsideAddress(): string {
  const [first = '127.0.0.1'] = ownAddresses().filter(
    (address) => isIP(address) === 4 && !isLoopback(address),
  );
  return first;
}

function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((list = []) => list.map(({ address }) => address));
}

/** As a browser writes it: brackets around IPv6, and no port where it is the usual one. */
export function hostText(name: string, port: number): string {
  const host = isIP(name) === 6 ? `[${name}]` : name.toLowerCase();
  return port === 80 ? host : `${host}:${port}`;
}

function hostTexts(name: string, port: number): string[] {
  const text = hostText(name, port);
  return port === 80 ? [text, `${text}:80`] : [text];
}

export function drawToken(): string {
  return randomBytes(24).toString('base64url');
}

/** Tokens go into addresses, headers and cookies as they are. */
export function isToken(text: string): boolean {
  return /^[A-Za-z0-9._~-]{8,200}$/.test(text);
}

/** The time this takes says nothing of where two tokens differ. */
export function sameToken(given: string, token: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(token));
}

/** Why a request is refused whoever sends it, or undefined. */
export function refusalOf(request: Request, { hosts }: Access): Refusal | undefined {
  const { headers, method, url } = request;
  const host = headers.get('host')?.toLowerCase();
  if (host === undefined || !hosts.has(host) || !hosts.has(new URL(url).host))
    return { status: 403, reason: `expected the Host ${[...hosts][0]}, or another name of this server` };
  const origin = headers.get('origin');
  if (origin !== null && origin.toLowerCase() !== `http://${host}`)
    return { status: 403, reason: 'pages of other sites may not ask this server' };
  if (isFromOtherSite(headers)) return { status: 403, reason: 'other sites may not use what lies here' };
  if (method !== 'GET' && method !== 'HEAD')
    return { status: 405, reason: 'this server can only be read: expected GET or HEAD' };
  if (headers.has('transfer-encoding') || (headers.get('content-length') ?? '0') !== '0')
    return { status: 413, reason: 'expected a request without a body' };
  return undefined;
}

/** Links from other sites may lead here; pictures, scripts and frames of theirs may not. */
function isFromOtherSite(headers: Headers): boolean {
  const site = headers.get('sec-fetch-site');
  if (site === null || site === 'same-origin' || site === 'none') return false;
  return headers.get('sec-fetch-mode') !== 'navigate' || headers.get('sec-fetch-dest') !== 'document';
}

/** Where a right token stands: `address` is told apart because it should not stay there. Undefined: nowhere. */
export function tokenPlace(
  request: Request,
  cookie: string | undefined,
  { token }: Access,
): 'not needed' | 'header' | 'cookie' | 'address' | undefined {
  if (token === undefined) return 'not needed';
  const [, bearer] = /^Bearer +([^ ]+)$/i.exec(request.headers.get('authorization') ?? '') ?? [];
  const address = new URL(request.url).searchParams.get('token');
  if (bearer !== undefined && sameToken(bearer, token)) return 'header';
  if (address !== null && sameToken(address, token)) return 'address';
  if (cookie !== undefined && sameToken(cookie, token)) return 'cookie';
  return undefined;
}
