// Every file of attacks/ meets the command that would read it: one line, an exit code that is not 0, nothing written.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadModel } from '@transformer-ls/runtime';
import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { attacks } from '../../../../attacks/all.js';
import { describeFailure, exitCodeOf } from '../../src/cli/errors.js';
import { imagesCommand } from '../../src/cli/images.js';
import { importCommand } from '../../src/cli/import.js';
import { inspectCommand } from '../../src/cli/inspect.js';
import { prepareCommand } from '../../src/cli/prepare.js';
import { imageDecoder } from '../../src/images/decode.js';
import { scratchFolder } from '../data/scratch-folder.js';

/** An attack that needs longer has won. */
const SLOWEST_MS = 30_000;
/** Bytes that the process may grow by. */
const MOST_MEMORY = 1.5 * 2 ** 30;

const parsed = (command: Command, args: readonly string[]) =>
  command
    .exitOverride()
    .configureOutput({ outputError: () => undefined })
    .parseAsync([...args], { from: 'user' });

/** The verbs of the program, and two functions of the library that no verb of this package leads to with one file alone. */
const verbs: Readonly<Record<string, (args: readonly string[]) => Promise<unknown>>> = {
  images: (args) => parsed(imagesCommand(), args),
  import: (args) => parsed(importCommand(), args),
  inspect: (args) => parsed(inspectCommand(), args),
  prepare: (args) => parsed(prepareCommand(), args),
  decode: async ([path]) => (await imageDecoder())(readFileSync(path!), path!),
  run: async ([folder]) => loadModel(folder!),
};

function written(folder: string, files: Readonly<Record<string, Uint8Array | string>>): void {
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
}

/** Files below a folder; empty folders are no harm. */
function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

describe('attacks', () => {
  it.each(attacks.map((attack) => [attack.name, attack] as const))(
    '%s',
    async (_, { files, command, refusal }) => {
      const folder = scratchFolder();
      written(folder, files());
      const before = filesIn(folder);
      const memory = process.memoryUsage.rss();
      const [verb, ...args] = command.map((word) => word.replace('@', folder));
      const error = await verbs[verb!]!(args).then(
        () => expect.fail('it was accepted'),
        (reason: unknown) => reason,
      );
      const line = describeFailure(error, verb, false);
      expect(exitCodeOf(error)).not.toBe(0);
      expect(line).toMatch(/^[^\p{Cc}\p{Zl}\p{Zp}]{1,4000}$/u);
      expect(line).toMatch(refusal);
      expect(line).not.toContain('(unexpected;');
      expect(filesIn(folder)).toEqual(before);
      expect(process.memoryUsage.rss() - memory).toBeLessThan(MOST_MEMORY);
    },
    SLOWEST_MS,
  );

  it('stand in their README', () => {
    const readme = readFileSync(
      fileURLToPath(new URL('../../../../attacks/README.md', import.meta.url)),
      'utf8',
    );
    const rows = attacks.map(({ name, tries }) => `| \`${name}\` | ${tries} |`);
    expect(readme.match(/^\| `.*$/gm)).toEqual(rows);
  });
});
