import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { explainMissing, findLibtorch, missingForBuild } from '../scripts/toolchain.mjs';

const { PATH, CXX } = process.env;
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tls-prerequisites-'));
  delete process.env.CXX;
});
afterEach(() => {
  process.env.PATH = PATH;
  if (CXX !== undefined) process.env.CXX = CXX;
  rmSync(folder, { recursive: true });
});

/** A machine without libtorch; `env` may name one that is not there. */
function search(env: NodeJS.ProcessEnv = {}) {
  return findLibtorch({ env, systemRoot: folder, projectVenv: join(folder, 'venv') });
}

describe('what is missing to build the bridge', () => {
  it('is everything on a bare machine: a line each, one command, and the way round', () => {
    process.env.PATH = folder;
    expect(missingForBuild(search()).map(({ name }) => name)).toEqual([
      'g++',
      'cmake',
      'ninja-build',
      'libtorch-dev',
      'libopenblas0-pthread',
    ]);
    const lines = explainMissing(search(), { apt: true, env: {} });
    expect(lines[0]).toMatch(/^missing g\+\+: no C\+\+ compiler found/);
    expect(lines[3]).toMatch(/^missing libtorch-dev: no libtorch found/);
    expect(lines.at(-2)).toMatch(
      /^mend it with: sudo apt-get update && sudo apt-get install .* g\+\+ cmake ninja-build libtorch-dev libopenblas0-pthread$/,
    );
    expect(lines.at(-1)).toContain('TORCH_PYTHON=/path/to/python npm run setup');
    for (const line of lines) expect(line).not.toContain('\n');
  });

  it('is said in words where there is no apt', () => {
    process.env.PATH = folder;
    expect(explainMissing(search(), { apt: false, env: {} }).at(-2)).toMatch(
      /^install with your package manager: g\+\+ 12 .*libtorch 1\.13 or newer$/,
    );
  });

  it('is not another libtorch where a variable names one that cannot be used', () => {
    const env = { LIBTORCH: join(folder, 'no-libtorch') };
    const lines = explainMissing(search(env), { apt: true, env });
    expect(lines.join('\n')).toContain(`LIBTORCH=${env.LIBTORCH} cannot be used`);
    expect(lines.join('\n')).not.toContain('libtorch-dev');
  });
});
