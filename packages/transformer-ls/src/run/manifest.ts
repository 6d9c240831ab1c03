import { messageOf, oneLine } from '../text/one-line.js';
import type { FileDigest } from './durable.js';
import { isJsonObject, writeJson } from './json.js';

/** What a checkpoint folder must hold to be whole: written last, so that a folder without it is unfinished. */
export interface Manifest {
  readonly step: number;
  readonly files: ReadonlyMap<string, FileDigest>;
}

export const MANIFEST_NAME = 'manifest.json';
export const MANIFEST_VERSION = 1;

const FORMAT = 'transformer-ls checkpoint';
const FILE_NAME = /^[a-z0-9][a-z0-9._-]*$/;
const SHA256 = /^[0-9a-f]{64}$/;

/** The one spelling of a manifest: files in order of name, two spaces deep. */
export function writeManifest(manifest: Manifest): string {
  const names = [...manifest.files.keys()].sort();
  const files = Object.fromEntries(names.map((name) => [name, describeDigest(manifest.files.get(name)!)]));
  return writeJson({ format: FORMAT, version: MANIFEST_VERSION, step: manifest.step, files });
}

/**
 * Reads a manifest, taking every field for hostile.
 *
 * Errors: SyntaxError or TypeError saying what is wrong; also where the bytes differ in any way from how
 * `writeManifest` spells the same content, so that no flipped bit goes unseen.
 */
export function parseManifest(bytes: Uint8Array): Manifest {
  const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  const value = parsed(text);
  if (!isJsonObject(value) || value.format !== FORMAT) throw new TypeError(`format is not '${FORMAT}'`);
  if (value.version !== MANIFEST_VERSION) {
    throw new TypeError(`version is ${shown(value.version)}, this program reads ${MANIFEST_VERSION}`);
  }
  if (!isCount(value.step)) throw new TypeError(`step is ${shown(value.step)}, not a whole number`);
  if (!isJsonObject(value.files)) throw new TypeError('files is not a list of names');
  const files = new Map(
    Object.entries(value.files).map(([name, entry]) => [checkName(name), parseDigest(name, entry)]),
  );
  const manifest = { step: value.step, files };
  if (writeManifest(manifest) !== text) throw new TypeError('it was changed after it was written');
  return manifest;
}

/** The program's own words quote what is there, line ends and all. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SyntaxError(oneLine(messageOf(error)));
  }
}

/** Refuses names that could lead out of the checkpoint folder or hide in it. */
export function checkName(name: string): string {
  if (FILE_NAME.test(name) && name !== MANIFEST_NAME) return name;
  throw new TypeError(`${shown(name)} is not a plain lower-case file name`);
}

function parseDigest(name: string, entry: unknown): FileDigest {
  if (!isJsonObject(entry)) throw new TypeError(`${name} has no size and hash`);
  const { size, sha256 } = entry;
  if (!isCount(size)) throw new TypeError(`${name} has size ${shown(size)}, not a whole number`);
  if (typeof sha256 !== 'string' || !SHA256.test(sha256)) throw new TypeError(`${name} has no SHA-256`);
  return { size, sha256 };
}

function describeDigest({ size, sha256 }: FileDigest): { size: number; sha256: string } {
  return { size, sha256 };
}

/** A value from a file, as JSON where it is short. */
function shown(value: unknown): string {
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'a list' : 'an object';
  return oneLine(JSON.stringify(value) ?? 'missing');
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
