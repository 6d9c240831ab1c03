/** Models that come with this package, by name. */
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** In the package as it is installed, and in a clone. */
const PLACES = ['../../models/', '../../../../models/'].map((place) =>
  fileURLToPath(new URL(place, import.meta.url)),
);

/** The folder they lie in; undefined where none came with the package. */
export function shippedModelsFolder(): string | undefined {
  return PLACES.find((place) => existsSync(place));
}

/** Their folders, by name. */
export async function shippedModels(): Promise<ReadonlyMap<string, string>> {
  const place = shippedModelsFolder();
  if (place === undefined) return new Map();
  const entries = await readdir(place, { withFileTypes: true });
  const folders = entries.filter((entry) => entry.isDirectory());
  return new Map(folders.map(({ name }) => [name, join(place, name)]));
}
