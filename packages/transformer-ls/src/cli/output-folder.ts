/** Folders that results go to. */
import { fileError } from '../data/errors.js';
import { nodeFileSystem } from '../run/file-system.js';

/** Makes the folder where it is missing: before the work, so that none is done in vain. @throws DataError where it cannot be made */
export async function makeOutputFolder(path: string): Promise<string> {
  try {
    await nodeFileSystem.makeFolder(path);
    return path;
  } catch (error) {
    throw fileError('create', path, error);
  }
}
