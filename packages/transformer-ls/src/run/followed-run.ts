/** A run folder as those see it who train along but write nothing: of several processes one alone writes. */
import type { Checkpoint } from './checkpoint.js';
import type { JsonObject } from './json.js';
import type { RunFolder } from './run-folder.js';

/** @param newest where the run goes on; undefined where it begins */
export function followedRun(path: string, config: JsonObject, newest: Checkpoint | undefined): RunFolder {
  return {
    path,
    config,
    newest,
    skipped: [],
    log: {
      earlier: [],
      append: () => undefined,
      flush: async () => undefined,
      close: async () => undefined,
    },
    writeCheckpoint: async () => path,
    writeBest: async () => path,
    writeText: async () => undefined,
    close: async () => undefined,
  };
}
