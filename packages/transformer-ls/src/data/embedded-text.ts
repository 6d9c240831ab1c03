import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DataError } from './errors.js';
import { listTextFiles } from './text-files.js';

/** The text of the default corpus, which needs no download. */
export interface EmbeddedText {
  readonly bytes: Buffer;
  readonly sha256: string;
  readonly files: number;
  /** Files whose content an earlier file had already. */
  readonly duplicates: number;
  /** `name@version` of every package that was read. */
  readonly packages: readonly string[];
}

// A list, not whatever node_modules holds: packages for one platform only would make the text differ between machines.
const packageNames = [
  '@types/node',
  '@types/yauzl',
  'chai',
  'commander',
  'fast-check',
  'lightningcss',
  'postcss',
  'rolldown',
  'tinybench',
  'typescript',
  'vite',
  'vitest',
  'yauzl',
];

/** What a proper installation gives is about four times this. */
const leastEmbeddedBytes = 2_000_000;

/** A piece ends with the line that passes this. */
const pieceBytes = 16_384;

/**
 * Gathers the declaration files and Markdown documents of the packages this project depends on, each content once, cut into
 * pieces of some 16 KiB that lie in the order of their SHA-256: uncut and by name, a single file could fill the validation or test
 * part, and training would never see its package. So what is held out are pieces of the same documents. Licence texts are left
 * out: dozens of equal paragraphs would flatter every model. Throws DataError when less than 2 MB are found.
 */
export async function embeddedText(
  startFolder: string = dirname(fileURLToPath(import.meta.url)),
): Promise<EmbeddedText> {
  const contents = new Map<string, Buffer>();
  const packages: string[] = [];
  let duplicates = 0;
  for (const name of packageNames) {
    const found = await findPackage(startFolder, name);
    if (found === undefined) continue;
    packages.push(`${name}@${found.version}`);
    for (const content of await textsOfPackage(found.folder)) {
      const digest = sha256(content);
      if (contents.has(digest)) duplicates += 1;
      contents.set(digest, content);
    }
  }
  const pieces = [...contents.values()].flatMap(piecesOf).map((piece) => ({ piece, digest: sha256(piece) }));
  pieces.sort((one, other) => (one.digest < other.digest ? -1 : 1));
  const bytes = Buffer.concat(pieces.map(({ piece }) => piece));
  if (bytes.length < leastEmbeddedBytes) throw tooLittle(bytes.length, packages, startFolder);
  return { bytes, sha256: sha256(bytes), files: contents.size, duplicates, packages };
}

/** Whole lines, the last of which has a line end. */
function piecesOf(content: Buffer): Buffer[] {
  const pieces: Buffer[] = [];
  for (let start = 0; start < content.length; ) {
    const newline = content.indexOf(10, start + pieceBytes);
    const end = newline < 0 ? content.length : newline + 1;
    pieces.push(content.subarray(start, end));
    start = end;
  }
  const endsInLine = content.at(-1) === 10 || content.length === 0;
  return endsInLine ? pieces : [...pieces.slice(0, -1), Buffer.concat([pieces.at(-1)!, Buffer.from('\n')])];
}

async function textsOfPackage(folder: string): Promise<Buffer[]> {
  const { files } = await listTextFiles(folder);
  const chosen = files.filter(({ name }) => isDocument(name));
  return Promise.all(chosen.map(({ path }) => readFile(path)));
}

function isDocument(name: string): boolean {
  return /\.(d\.[cm]?ts|md)$/.test(name) && !/licen[sc]e|third-?party/i.test(name);
}

/** Looks where Node would: in node_modules of this folder and of every folder above. */
async function findPackage(
  startFolder: string,
  name: string,
): Promise<{ folder: string; version: string } | undefined> {
  for (let folder = startFolder; ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', name);
    const version = await packageVersion(candidate);
    if (version !== undefined) return { folder: candidate, version };
    if (folder === dirname(folder)) return undefined;
  }
}

async function packageVersion(folder: string): Promise<string | undefined> {
  try {
    const manifest: unknown = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
    const hasVersion = typeof manifest === 'object' && manifest !== null && 'version' in manifest;
    return hasVersion ? String(manifest.version) : undefined;
  } catch {
    // Not here, or not a package: the search goes on one folder higher.
    return undefined;
  }
}

function tooLittle(bytes: number, packages: readonly string[], startFolder: string): DataError {
  const found = packages.length === 0 ? 'none of its packages' : packages.join(', ');
  return new DataError(
    `embedded: found ${bytes} bytes (${found}) in node_modules above ${startFolder}, expected at least ` +
      `${leastEmbeddedBytes}; run 'npm ci' in the clone, or use the corpus 'text' with --from <file or folder>`,
  );
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
