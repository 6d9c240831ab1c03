/** The files of an exported model: found, counted and checked against the manifest before anything is made of them. */
import {
  EXPORT_MANIFEST_NAME,
  type ExportedModel,
  exportedModelSchema,
  parseConfigText,
} from '@transformer-ls/formats';
import type { FileReader } from './engine.js';
import { RuntimeError } from './errors.js';

/** A manifest with a million classes is smaller. */
const LARGEST_MANIFEST = 64 * 2 ** 20;

export interface LoadProgress {
  readonly loadedBytes: number;
  /** Of all files together. */
  readonly totalBytes: number;
}

export interface ModelFiles {
  readonly manifest: ExportedModel;
  /** By name. */
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/**
 * @param check may refuse the manifest, before the files are read
 * @throws RuntimeError where a file is missing, or is not the one that the manifest names
 */
export async function readModel(
  reader: FileReader,
  onProgress: (progress: LoadProgress) => void = () => undefined,
  check: (manifest: ExportedModel) => void = () => undefined,
): Promise<ModelFiles> {
  const manifest = parseManifest(
    await reader.read(EXPORT_MANIFEST_NAME, LARGEST_MANIFEST, () => undefined),
    reader,
  );
  check(manifest);
  const totalBytes = manifest.files.reduce((total, { bytes }) => total + bytes, 0);
  let loadedBytes = 0;
  const count = (bytes: number) => {
    loadedBytes += bytes;
    onProgress({ loadedBytes, totalBytes });
  };
  const read = async ({
    name,
    bytes,
    sha256,
  }: ExportedModel['files'][number]): Promise<[string, Uint8Array]> => {
    const content = await reader.read(name, bytes, count);
    if (content.length !== bytes)
      throw new RuntimeError(
        'damaged',
        `${reader.place}: ${name} has ${content.length} bytes, ${EXPORT_MANIFEST_NAME} says ${bytes}`,
      );
    if ((await hashOf(content)) !== sha256)
      throw new RuntimeError(
        'damaged',
        `${reader.place}: ${name} is not the file that ${EXPORT_MANIFEST_NAME} names`,
      );
    return [name, content];
  };
  return { manifest, files: new Map(await Promise.all(manifest.files.map(read))) };
}

function parseManifest(bytes: Uint8Array, { place }: FileReader): ExportedModel {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return parseConfigText(exportedModelSchema, text, EXPORT_MANIFEST_NAME);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new RuntimeError('damaged', `${place}: no exported model (${reason})`, { cause: error });
  }
}

async function hashOf(bytes: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
