/** Models that come with this package, by name. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** In the package as it is installed, and in a clone. */
const PLACES = ['../../models/', '../../../../models/'].map((place) =>
  fileURLToPath(new URL(place, import.meta.url)),
);

/** Their folders, by name. */
export async function shippedModels(): Promise<ReadonlyMap<string, string>> {
  for (const place of PLACES) {
    const entries = await readdir(place, { withFileTypes: true }).catch(() => []);
    const folders = entries.filter((entry) => entry.isDirectory());
    if (folders.length > 0) return new Map(folders.map(({ name }) => [name, join(place, name)]));
  }
  return new Map();
}
