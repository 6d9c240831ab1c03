import type { PickleValue } from '../pickle-values.js';
import type { PthStorage } from './pth-values.js';

/** The raw numbers of all storages of one key. */
export interface StoredBytes {
  readonly byteLength: number;
  read(start: number, length: number): Promise<Uint8Array>;
}

/** What either format holds: the object that was saved, and where its numbers lie. */
export interface StoredObject {
  readonly format: 'zip' | 'legacy';
  /** Whether damage to the numbers would be seen when they are read. */
  readonly hasChecksums: boolean;
  readonly object: PickleValue;
  readonly unknownGlobals: readonly string[];
  readonly storages: ReadonlyMap<PthStorage, StoredBytes>;
}
