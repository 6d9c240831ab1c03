/** Exported models below some folders, and their files. */
import { createHash } from 'node:crypto';
import { basename, join } from 'node:path';
import {
  EXPORT_MANIFEST_NAME,
  type ExportedModel,
  exportedModelSchema,
  type ModelList,
  type ModelSummary,
  parseConfigText,
} from '@transformer-ls/formats';
import { reasonOf, UnreadableError } from './errors.js';
import { type FoundFolder, walkFolders } from './find-folders.js';
import { realBytes, realFileFacts } from './real-file.js';

/** A file that may be asked for. */
export interface ModelFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** `models/<name>/onnx` is how the shipped ones lie. */
const DEEPEST = 2;
const MOST_MODELS = 500;
const LARGEST_MANIFEST = 64 * 1024 * 1024;

interface Shelf {
  readonly list: ModelList;
  /** `<id>/<file>` to the file. */
  readonly files: ReadonlyMap<string, ModelFile>;
}

export class ModelShelf {
  private shelf: Shelf | undefined;
  private freshUntil = 0;
  private looking: Promise<Shelf> | undefined;

  /**
   * @param roots real paths
   * @param freshMs milliseconds for which an answer is good
   */
  constructor(
    private readonly roots: readonly string[],
    private readonly freshMs: number,
  ) {}

  async list(): Promise<ModelList> {
    return (await this.current()).list;
  }

  /** A file by `<id>/<file>`: only what a manifest lists, and the manifest. */
  async file(name: string): Promise<ModelFile | undefined> {
    return this.shelf?.files.get(name) ?? (await this.current()).files.get(name);
  }

  private async current(): Promise<Shelf> {
    if (this.shelf !== undefined && performance.now() < this.freshUntil) return this.shelf;
    this.looking ??= this.look().finally(() => {
      this.looking = undefined;
    });
    return this.looking;
  }

  private async look(): Promise<Shelf> {
    const models: ModelSummary[] = [];
    const unreadable: { id: string; reason: string }[] = [];
    const files = new Map<string, ModelFile>();
    const taken = new Set<string>();
    for (const root of this.roots)
      await walkFolders(root, DEEPEST, async (found) => {
        if (!found.names.has(EXPORT_MANIFEST_NAME)) return true;
        if (taken.size >= MOST_MODELS) return false;
        const id = freeId(found, basename(root), taken);
        try {
          const model = await readModel(found.path);
          // A checkpoint has a manifest of its own kind.
          if (model === undefined) return true;
          taken.add(id);
          models.push(summaryOf(id, model.manifest));
          for (const [name, file] of model.files) files.set(`${id}/${name}`, file);
        } catch (error) {
          unreadable.push({ id, reason: reasonOf(error) });
        }
        return false;
      });
    this.shelf = { list: { models, unreadable }, files };
    this.freshUntil = performance.now() + this.freshMs;
    return this.shelf;
  }
}

/** Names of folders in the letters that every address may have: `film-reviews` for `film-reviews/onnx`. */
function freeId({ id }: FoundFolder, rootName: string, taken: ReadonlySet<string>): string {
  const names = id.split('/');
  if (names.length > 1 && names.at(-1) === 'onnx') names.pop();
  const plain =
    names
      .join('-')
      .replace(/[^A-Za-z0-9_-]+/g, '-')
      .slice(0, 80) || 'model';
  const wanted = plain === 'onnx' ? rootName.replace(/[^A-Za-z0-9_-]+/g, '-') : plain;
  let free = wanted;
  for (let n = 2; taken.has(free); n++) free = `${wanted}-${n}`;
  return free;
}

interface ShelvedModel {
  readonly manifest: ExportedModel;
  readonly files: ReadonlyMap<string, ModelFile>;
}

/** The model in a folder, or undefined where the manifest is that of something else. @throws UnreadableError, ConfigError */
async function readModel(folder: string): Promise<ShelvedModel | undefined> {
  const path = join(folder, EXPORT_MANIFEST_NAME);
  const bytes = await realBytes(path, LARGEST_MANIFEST);
  if (bytes === undefined) return undefined;
  const text = new TextDecoder().decode(bytes);
  if (isOtherManifest(text)) return undefined;
  const manifest = parseConfigText(exportedModelSchema, text, EXPORT_MANIFEST_NAME);
  const files = new Map<string, ModelFile>();
  for (const file of manifest.files) {
    const facts = await realFileFacts(join(folder, file.name));
    if (facts === undefined) throw new UnreadableError(`${file.name}: is missing`);
    if (facts.size !== file.bytes)
      throw new UnreadableError(`${file.name}: expected ${file.bytes} bytes, found ${facts.size}`);
    files.set(file.name, { path: join(folder, file.name), bytes: file.bytes, sha256: file.sha256 });
  }
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  files.set(EXPORT_MANIFEST_NAME, { path, bytes: bytes.length, sha256 });
  return { manifest, files };
}

/** Manifests of checkpoints say what they are; anything else should have been a model. */
function isOtherManifest(text: string): boolean {
  return /^\s*\{\s*"format"\s*:\s*"transformer-ls checkpoint"/.test(text);
}

function summaryOf(id: string, { name, kind, files, provenance: { data } }: ExportedModel): ModelSummary {
  return { id, name, kind, bytes: files.reduce((total, file) => total + file.bytes, 0), data };
}
