import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { aptCommand } from '../../packages/torch/scripts/toolchain.mjs';
import { whyNpmInstall } from '../setup/npm-dependencies.mjs';
import { run, SetupError } from '../setup/run.mjs';
import { findMissingPackages, installSystemPackages } from '../setup/system-packages.mjs';
import { buildTypescript, hashTypescriptState, whyTypescriptBuild } from '../setup/typescript-build.mjs';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tls-setup-'));
});
afterEach(() => rmSync(root, { recursive: true }));

function write(path: string, content: unknown = '') {
  const target = join(root, path);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, typeof content === 'string' ? content : JSON.stringify(content));
}

describe('npm packages', () => {
  const lock = (version: string, extra = {}) => ({
    packages: { '': {}, 'node_modules/a': { version }, ...extra },
  });

  function install(version: string) {
    write('node_modules/.package-lock.json', lock(version));
    write('node_modules/a/package.json', { version });
  }

  it('are installed where there are none, and again where an install was cut off', () => {
    write('package-lock.json', lock('1.0.0'));
    expect(whyNpmInstall(root)).toContain('no npm packages are installed');
    write('node_modules/a/package.json', '{}');
    expect(whyNpmInstall(root)).toContain('did not finish');
    write('node_modules/.package-lock.json', '{"packages": {"node_mod');
    expect(whyNpmInstall(root)).toContain('a is not installed');
  });

  it('are left alone where they are those of the lock file', () => {
    write(
      'package-lock.json',
      lock('1.0.0', { 'node_modules/other-platform': { version: '9', optional: true } }),
    );
    install('1.0.0');
    expect(whyNpmInstall(root)).toBeNull();
  });

  it('are installed again when the lock file changes or a folder was deleted', () => {
    write('package-lock.json', lock('1.1.0'));
    install('1.0.0');
    expect(whyNpmInstall(root)).toBe('a is 1.0.0, but package-lock.json asks for 1.1.0');
    install('1.1.0');
    rmSync(join(root, 'node_modules/a'), { recursive: true });
    expect(whyNpmInstall(root)).toContain('a is missing');
  });
});

describe('TypeScript build', () => {
  beforeEach(() => {
    write('tsconfig.json', '{}');
    write('packages/p/tsconfig.json', '{}');
    write('packages/p/src/index.ts', 'export const x = 1;');
    // Stands for the compiler: notes how it was called and writes the output.
    write(
      'node_modules/typescript/bin/tsc',
      `const { mkdirSync, writeFileSync } = require('node:fs');
       mkdirSync('packages/p/dist', { recursive: true });
       writeFileSync('packages/p/dist/index.js', process.argv.slice(2).join(' '));`,
    );
  });
  const output = () => readFileSync(join(root, 'packages/p/dist/index.js'), 'utf8');

  it('runs once and not again until a source changes', async () => {
    expect(whyTypescriptBuild(root)).toBe('packages/p is not built');
    await buildTypescript(root, { quiet: true });
    expect(output()).toBe('-b --force');
    expect(whyTypescriptBuild(root)).toBeNull();
    write('packages/p/src/new.ts', '');
    expect(whyTypescriptBuild(root)).toContain('sources have changed');
    await buildTypescript(root, { quiet: true });
    expect(output()).toBe('-b');
    expect(whyTypescriptBuild(root)).toBeNull();
  });

  it('sees a touched file and a changed setting, and ignores what is not a source', () => {
    const before = hashTypescriptState(root);
    write('packages/p/src/notes.txt', 'x');
    expect(hashTypescriptState(root)).toBe(before);
    utimesSync(join(root, 'packages/p/src/index.ts'), 1, 1);
    const touched = hashTypescriptState(root);
    expect(touched).not.toBe(before);
    write('packages/p/tsconfig.json', '{ "include": [] }');
    expect(hashTypescriptState(root)).not.toBe(touched);
  });

  it('is repeated when it was interrupted before its stamp, and when it failed', async () => {
    write('packages/p/dist/index.js', 'half');
    expect(whyTypescriptBuild(root)).not.toBeNull();
    write('node_modules/typescript/bin/tsc', 'console.log("index.ts(1,1): error TS1"); process.exit(2);');
    await expect(buildTypescript(root, { quiet: true })).rejects.toThrow(/error TS1/);
    expect(whyTypescriptBuild(root)).not.toBeNull();
  });
});

describe('system packages', () => {
  const none = { chosen: null, candidates: [] };

  it('are libtorch and OpenBLAS where no libtorch is found, but not for --torch pip', () => {
    expect(
      findMissingPackages(none, { bridgeBuilt: true, torch: null, broken: false, browser: false }),
    ).toMatchObject({
      needed: ['libtorch-dev'],
    });
    const pip = findMissingPackages(none, { bridgeBuilt: true, torch: 'pip', broken: false, browser: false });
    expect(pip.needed).not.toContain('libtorch-dev');
    expect(pip.wanted).toEqual([]);
  });

  it('do not hide a variable that names a broken libtorch', () => {
    expect(
      findMissingPackages(none, { bridgeBuilt: true, torch: null, broken: true, browser: false }).needed,
    ).toEqual([]);
  });

  it('are named in the exact command for a user without root', () => {
    expect(aptCommand(['g++', 'cmake'])).toMatch(
      /^sudo apt-get update && sudo apt-get install -y .*g\+\+ cmake$/,
    );
  });

  it('are tried again with fresh lists when apt fails with the old ones', async () => {
    const calls = join(root, 'calls');
    write(
      'bin/apt-get',
      `#!/bin/sh
echo "$@" >> ${calls}
case "$1" in update) touch ${root}/fresh ;; install) test -e ${root}/fresh ;; esac
`,
    );
    chmodSync(join(root, 'bin/apt-get'), 0o755);
    const env = { ...process.env, PATH: `${join(root, 'bin')}:${process.env.PATH}` };
    await installSystemPackages(['libtorch-dev'], [], { quiet: true, env });
    const lines = readFileSync(calls, 'utf8').trim().split('\n');
    expect(lines.at(-2)).toMatch(/^update/);
    expect(lines.at(-1)).toMatch(/^install .*libtorch-dev$/);
  });
});

describe('run', () => {
  it('gives the output, and with a failure the command, its exit code and its last lines', async () => {
    expect(await run('echo', ['a'], { quiet: true })).toBe('a\n');
    const failure: unknown = await run('sh', ['-c', 'echo why; exit 3'], { quiet: true }).catch(
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(SetupError);
    expect((failure as Error).message).toBe('sh -c echo why; exit 3: exit code 3\nwhy');
    await expect(run('no-such-program', [], { quiet: true })).rejects.toThrow(/no-such-program/);
  });
});

describe('bad flags of npm run setup', () => {
  const setup = (...args: string[]) =>
    spawnSync(process.execPath, [fileURLToPath(new URL('../setup.mjs', import.meta.url)), ...args], {
      encoding: 'utf8',
    });

  it.each([
    [['--torch', 'conda'], '--torch takes pip or debian, got "conda"'],
    [['--tourch'], "Unknown option '--tourch'"],
  ])('%j give one clear line', (args, message) => {
    const { status, stderr } = setup(...args);
    expect(status).toBe(1);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(stderr).toContain(message);
  });
});
