/** Where corpora lie. */
import { existsSync } from 'node:fs';

/** Of prepared corpora: --data-folder, else the environment's TRANSFORMER_LS_DATA, else ./data. */
export function dataFolder(flag: string | undefined): string {
  return flag ?? (process.env.TRANSFORMER_LS_DATA || 'data');
}

/** Where else the files of fixed corpora are looked for: beside a clone there may be a `shared` folder of data. */
export function corpusSearchFolders(): string[] {
  return ['../shared/data/wikipedia'].filter((folder) => existsSync(folder));
}
