import { spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { buildNative, describeFailure, NativeBuildError } from '../scripts/build-native.mjs';
import { withLock } from '../scripts/lock.mjs';
import {
  addonPath,
  currentPath,
  findCmake,
  findCompiler,
  findLibtorch,
  readStamp,
} from '../scripts/toolchain.mjs';

const libtorch = findLibtorch().chosen;
const canBuild = libtorch !== null && findCompiler().found && findCmake().found;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tls-native-'));
  mkdirSync(join(folder, 'native'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** An add-on that answers with a number and touches libtorch only by linking it, so that it compiles in a second. */
const addon = (answer: string) => `
#include <node_api.h>
NAPI_MODULE_INIT() { napi_value number; napi_create_int32(env, ${answer}, &number); return number; }
`;

describe.skipIf(!canBuild)('buildNative', () => {
  const build = (text: string) => {
    writeFileSync(join(folder, 'native', 'addon.cc'), text);
    return buildNative({
      libtorch: libtorch!,
      source: join(folder, 'native'),
      root: join(folder, 'build'),
      jobs: 1,
    });
  };

  it('compiles, does nothing twice, and compiles again when a source changes', async () => {
    const first = await build(addon('42'));
    expect(first.status).toBe('built');
    expect(createRequire(import.meta.url)(first.path)).toBe(42);
    expect(readStamp(currentPath(join(folder, 'build')))?.key).toBe(first.key);
    expect((await build(addon('42'))).status).toBe('current');
    expect((await build(addon('43'))).status).toBe('built');
    expect(readdirSync(join(folder, 'build', first.key)).sort()).toEqual([
      'build.log',
      'cmake',
      'stamp.json',
      'torch.node',
    ]);
  });

  it('reports the first error of the compiler in one line and keeps no stamp', async () => {
    const error: unknown = await build(addon('nothing_of_this_name')).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(NativeBuildError);
    const { message } = error as Error;
    expect(message).toMatch(/^the native build failed: .*addon\.cc:3:\d+: error: .*nothing_of_this_name/);
    expect(message).not.toContain('\n');
    const log = /whole log: (.*)\)$/.exec(message)?.[1] ?? '';
    expect(readFileSync(log, 'utf8')).toContain('nothing_of_this_name');
    expect(existsSync(currentPath(join(folder, 'build')))).toBe(false);
  });

  it('starts from nothing when the last build was cut off, for its object files may be half-written', async () => {
    const { key } = await build(addon('42'));
    const leftOver = join(folder, 'build', key, 'cmake', 'left-over.o');
    writeFileSync(leftOver, '');
    writeFileSync(join(folder, 'build', key, 'under-way'), '');
    expect((await build(addon('43'))).status).toBe('built');
    expect(existsSync(leftOver)).toBe(false);
  });

  it('says so when there is nothing to compile', async () => {
    const attempt = buildNative({
      libtorch: libtorch!,
      source: join(folder, 'native'),
      root: join(folder, 'build'),
    });
    await expect(attempt).rejects.toThrow(/no \*\.cc files in/);
  });

  it('names the variable that mends a folder which cannot be written', async () => {
    writeFileSync(join(folder, 'build'), 'a file, not a folder');
    await expect(build(addon('42'))).rejects.toThrow(/cannot write to .*; TLS_BUILD_FOLDER=/);
  });

  it('builds once when two ask at the same time', async () => {
    const results = await Promise.all([build(addon('1')), build(addon('1'))]);
    expect(results.map(({ status }) => status).sort()).toEqual(['built', 'current']);
    expect(existsSync(addonPath(results[0].key, join(folder, 'build')))).toBe(true);
  });
});

it('names the cause of a failure, whatever program reported it', () => {
  const describeLog = (text: string) => describeFailure(text, 'build.log', null);
  expect(describeLog('ok\nx.cc:1:2: fatal error: a.h: No such file\nmore')).toContain('fatal error: a.h');
  expect(describeLog('CMake Error at CMakeLists.txt:12 (message):\n  TLS_X is not set\n')).toContain(
    'TLS_X is not set',
  );
  expect(describeLog('/usr/bin/ld: cannot find -lgomp\n')).toContain('cannot find -lgomp');
  expect(describeFailure('[1/2] compiling\n', 'build.log', 'SIGKILL')).toContain('ended by SIGKILL');
  expect(describeLog('')).toContain('no output');
});

describe('withLock', () => {
  const lockPath = () => join(folder, 'lock');
  const silent = () => {};

  it('lets one in at a time and leaves no file', async () => {
    let inside = 0;
    let most = 0;
    const enter = () =>
      withLock(lockPath(), silent, async () => {
        most = Math.max(most, ++inside);
        await new Promise((done) => setTimeout(done, 20));
        inside--;
      });
    await Promise.all([enter(), enter(), enter()]);
    expect(most).toBe(1);
    expect(existsSync(lockPath())).toBe(false);
  });

  it('takes over from a killed holder', async () => {
    const module = JSON.stringify(fileURLToPath(new URL('../scripts/lock.mjs', import.meta.url)));
    const hold = `const { withLock } = await import(${module});
      await withLock(${JSON.stringify(lockPath())}, () => {}, async () => process.kill(process.pid, 'SIGKILL'));`;
    spawnSync(process.execPath, ['--input-type=module', '-e', hold]);
    expect(existsSync(lockPath())).toBe(true);
    expect(await withLock(lockPath(), silent, async () => 'mine')).toBe('mine');
  });

  it('waits for a program that outlived the killed holder', async () => {
    const mark = join(folder, 'child-has-ended');
    const child = spawn('sh', ['-c', `sleep 1; touch ${mark}`]);
    const stat = readFileSync(`/proc/${child.pid}/stat`, 'utf8');
    const started = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    writeFileSync(lockPath(), JSON.stringify([{ pid: child.pid, started }]));
    expect(await withLock(lockPath(), silent, async () => existsSync(mark))).toBe(true);
  });

  it('takes over a lock whose process number now belongs to another process, or that was cut off', async () => {
    writeFileSync(lockPath(), JSON.stringify([{ pid: process.pid, started: '1' }]));
    expect(await withLock(lockPath(), silent, async () => 1)).toBe(1);
    writeFileSync(lockPath(), '[{"pi');
    expect(await withLock(lockPath(), silent, async () => 2)).toBe(2);
  });
});
