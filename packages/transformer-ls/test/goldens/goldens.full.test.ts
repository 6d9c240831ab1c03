import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { goldenPaths, runGolden } from '../../src/goldens/run.js';

const shared = fileURLToPath(new URL('../../../../../shared/goldens', import.meta.url));

describe.skipIf(!existsSync(shared))('all golden files beside the project', () => {
  const paths = existsSync(shared) ? goldenPaths([shared]) : [];
  it.each(paths.map((path) => [path.split('/').at(-1), path]))('%s', (_, path) => {
    expect(runGolden(path!)).toMatchObject({ status: 'pass', problems: [] });
  });
});
