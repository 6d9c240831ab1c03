import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  addonPath,
  buildKey,
  chooseAddon,
  currentPath,
  explainNoLibtorch,
  findBlas,
  findCompiler,
  findLibtorch,
  findNvcc,
  inspectLibtorch,
  isBuilt,
  type Libtorch,
  type LibtorchOrigin,
  multiarch,
  selectAddon,
  sourceHash,
  stampPath,
} from '../scripts/toolchain.mjs';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tls-toolchain-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function write(path: string, text: string | Buffer = ''): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
  return path;
}

interface FakeTorch {
  version?: string;
  abi?: boolean;
  cuda?: boolean;
  libDir?: string;
  cxx?: number;
}

/** A folder with the files of a libtorch, empty but for what is read from them. */
function fakeLibtorch(
  root: string,
  { version = '2.3.1', abi = true, cuda = false, libDir = 'lib', cxx = 17 }: FakeTorch = {},
) {
  const libraries = [
    'libtorch.so',
    'libtorch_cpu.so',
    ...(cuda ? ['libtorch_cuda.so', 'libc10_cuda.so'] : []),
  ];
  for (const name of libraries) write(join(root, libDir, name));
  write(join(root, libDir, 'libc10.so'), abi ? '_ZNSt7__cxx1112basic_string' : '_ZNSs');
  const headers = ['torch/library.h', 'ATen/core/dispatch/Dispatcher.h', 'c10/core/Device.h'];
  for (const name of headers) write(join(root, 'include', name));
  const api = join(root, 'include/torch/csrc/api/include/torch');
  write(join(api, 'version.h'), `#define TORCH_VERSION_MAJOR 9\n#define TORCH_VERSION \\\n  "${version}"\n`);
  write(join(api, 'all.h'), `#error C++${cxx} or later compatible compiler is required to use PyTorch.\n`);
  return root;
}

/** An executable that answers as a Python does whose torch lies in `torch`, or that has none. */
function fakePython(path: string, torch: string | null): string {
  write(path, `#!/bin/sh\necho "${torch === null ? '' : join(torch, '__init__.py')}"\n`);
  chmodSync(path, 0o755);
  return path;
}

function search(env: NodeJS.ProcessEnv, options: { all?: boolean; preference?: 'pip' | 'debian' } = {}) {
  return findLibtorch({ env, systemRoot: folder, projectVenv: join(folder, 'project-venv'), ...options });
}

function addDebian(version = '1.13.0') {
  fakeLibtorch(join(folder, 'usr'), { version, libDir: `lib/${multiarch()}` });
}

describe('findLibtorch', () => {
  it('finds nothing on an empty machine and says where it looked', () => {
    const { chosen, candidates } = search({});
    expect(chosen).toBeNull();
    expect(explainNoLibtorch(candidates)).toContain('no LIBTORCH, no Python with torch, no libtorch-dev');
  });

  it('finds Debian packages in the folder of the processor', () => {
    addDebian();
    const { chosen } = search({});
    expect(chosen).toMatchObject({
      origin: 'Debian',
      version: '1.13.0',
      cuda: null,
      cxx11Abi: true,
      complete: true,
    });
    expect(chosen?.libDir).toBe(join(folder, 'usr/lib', multiarch() ?? ''));
  });

  it('prefers LIBTORCH, then TORCH_PYTHON, then VIRTUAL_ENV, then Debian, then python3', () => {
    addDebian();
    const archive = fakeLibtorch(join(folder, 'libtorch'));
    const python = fakePython(join(folder, 'a/bin/python'), fakeLibtorch(join(folder, 'a/torch')));
    fakePython(join(folder, 'b/bin/python'), fakeLibtorch(join(folder, 'b/torch')));
    fakePython(join(folder, 'bin/python3'), fakeLibtorch(join(folder, 'c/torch')));
    const env = {
      LIBTORCH: archive,
      TORCH_PYTHON: python,
      VIRTUAL_ENV: join(folder, 'b'),
      PATH: join(folder, 'bin'),
    };
    expect(search(env).chosen?.origin).toBe('LIBTORCH');
    expect(search({ ...env, LIBTORCH: '' }).chosen).toMatchObject({ origin: 'TORCH_PYTHON', python });
    expect(search({ VIRTUAL_ENV: env.VIRTUAL_ENV, PATH: env.PATH }).chosen?.origin).toBe('VIRTUAL_ENV');
    expect(search({ PATH: env.PATH }).chosen?.origin).toBe('Debian');
    rmSync(join(folder, 'usr'), { recursive: true });
  });

  it('looks at every place when asked to, still choosing the first', () => {
    addDebian();
    const env = { LIBTORCH: fakeLibtorch(join(folder, 'libtorch')) };
    const { chosen, candidates } = search(env, { all: true });
    expect(chosen?.origin).toBe('LIBTORCH');
    expect(candidates.map(({ origin }) => origin)).toEqual(['LIBTORCH', 'Debian']);
  });

  it('puts the environment made by --torch pip before Debian unless Debian was asked for', () => {
    addDebian();
    fakePython(join(folder, 'project-venv/bin/python'), fakeLibtorch(join(folder, 'project-venv/torch')));
    expect(search({}, { preference: 'pip' }).chosen?.origin).toBe('project venv');
    expect(search({}, { preference: 'debian' }).chosen?.origin).toBe('Debian');
  });

  it('does not fall back in silence when LIBTORCH is incomplete', () => {
    addDebian();
    const broken = fakeLibtorch(join(folder, 'libtorch'));
    rmSync(join(broken, 'lib/libtorch_cpu.so'));
    const { chosen, candidates } = search({ LIBTORCH: broken });
    expect(chosen).toBeNull();
    expect(explainNoLibtorch(candidates)).toContain(join(broken, 'lib/libtorch_cpu.so'));
  });

  it('goes on to Debian when an activated environment has no torch, and says so', () => {
    addDebian();
    fakePython(join(folder, 'venv/bin/python'), null);
    const { chosen, candidates } = search({ VIRTUAL_ENV: join(folder, 'venv') });
    expect(chosen?.origin).toBe('Debian');
    expect(candidates[0]?.rejected).toContain('has no torch');
  });

  it('names a Python that does not start', () => {
    const { candidates } = search({ TORCH_PYTHON: join(folder, 'no-python') });
    expect(candidates[0]?.rejected).toContain('does not answer');
  });
});

describe('inspectLibtorch', () => {
  it.each([
    ['too old', { version: '1.12.1' }, 'version 1.12.1 is too old: 1.13 or newer'],
    ['as old as allowed', { version: '1.13.0' }, null],
    ['newer with two digits', { version: '2.15.0' }, null],
  ])('judges a version that is %s', (_, fake, reason) => {
    const { rejected } = inspectLibtorch(fakeLibtorch(folder, fake));
    if (reason === null) expect(rejected).toBeNull();
    else expect(rejected).toContain(reason);
  });

  it('reads ABI, CUDA and the C++ standard', () => {
    fakeLibtorch(folder, { abi: false, cuda: true, cxx: 20 });
    write(join(folder, 'version.py'), "from typing import Optional\ncuda: Optional[str] = '13.2'\n");
    const found = inspectLibtorch(folder);
    expect(found).toMatchObject({ cxx11Abi: false, cuda: '13.2', cxxStandard: 20 });
    expect(found.libraries).toContain(join(folder, 'lib/libtorch_cuda.so'));
  });

  it('reads the CUDA version of an unpacked archive', () => {
    fakeLibtorch(folder, { cuda: true });
    write(join(folder, 'build-version'), '2.3.1+cu121\n');
    expect(inspectLibtorch(folder).cuda).toBe('12.1');
  });

  it('refuses libraries of another processor', () => {
    fakeLibtorch(folder);
    const elf = Buffer.alloc(64);
    elf.writeUInt32BE(0x7f454c46, 0);
    elf.writeUInt16LE(process.arch === 'x64' ? 183 : 62, 18);
    write(join(folder, 'lib/libc10.so'), elf);
    expect(inspectLibtorch(folder).rejected).toMatch(/built for (arm64|x64), but this Node runs on/);
  });

  it('lists every missing header and a folder that is not there', () => {
    fakeLibtorch(folder);
    rmSync(join(folder, 'include/torch/library.h'));
    expect(inspectLibtorch(folder).missing).toEqual([join(folder, 'include/torch/library.h')]);
    expect(inspectLibtorch(join(folder, 'nowhere')).rejected).toContain('does not exist');
  });
});

it('names a build after everything that makes it incompatible with another', () => {
  expect(buildKey({ version: '1.13.0', cxx11Abi: true, cuda: null })).toBe('torch-1.13.0-abi1-napi8-cpu');
  expect(buildKey({ version: '2.15.0', cxx11Abi: false, cuda: '13.2' })).toBe(
    'torch-2.15.0-abi0-napi8-cu132',
  );
});

it('changes the source hash with contents and with names', () => {
  write(join(folder, 'native/a.cc'), 'int a;');
  const source = join(folder, 'native');
  const first = sourceHash(source);
  expect(sourceHash(source)).toBe(first);
  write(join(source, 'a.cc'), 'int b;');
  const second = sourceHash(source);
  expect(second).not.toBe(first);
  write(join(source, 'kernels/b.cpp'), '');
  expect(sourceHash(source)).not.toBe(second);
});

describe('which add-on is loaded', () => {
  const source = () => join(folder, 'native');
  const root = () => join(folder, 'build');

  function built(
    torch: string,
    {
      python = null as string | null,
      current = true,
      version = '2.3.1',
      origin = 'LIBTORCH' as LibtorchOrigin,
    } = {},
  ): Libtorch {
    const libtorch: Libtorch = {
      origin,
      ...inspectLibtorch(fakeLibtorch(torch, { version })),
      python,
    };
    const key = buildKey(libtorch);
    write(addonPath(key, root()));
    const stamp = JSON.stringify({ key, libtorch, sourceHash: sourceHash(source()) });
    write(stampPath(key, root()), stamp);
    if (current) write(currentPath(root()), stamp);
    return libtorch;
  }

  it('is the one set up last, or the one that the environment names', () => {
    write(join(source(), 'a.cc'), 'x');
    const other = built(join(folder, 'other'), {
      version: '2.4.0',
      python: '/opt/some/bin/python',
      current: false,
    });
    const usual = built(join(folder, 'usual'));
    symlinkSync(other.root, join(folder, 'link'));
    const pick = (env: NodeJS.ProcessEnv) => chooseAddon({ env, root: root() });
    expect(pick({}).path).toBe(addonPath(buildKey(usual), root()));
    expect(pick({ LIBTORCH: join(folder, 'link') }).key).toBe(buildKey(other));
    expect(pick({ TORCH_PYTHON: '/opt/some/bin/python' }).key).toBe(buildKey(other));
    const missing = pick({ TORCH_PYTHON: '/opt/else/bin/python' });
    expect(missing.path).toBeNull();
    expect(missing.attempts[0]).toContain('/opt/else/bin/python');
    expect(missing.attempts[0]).toContain(buildKey(other));
  });

  it('changes with the selection, but not for a variable that speaks for one command', () => {
    write(join(source(), 'a.cc'), 'x');
    const usual = built(join(folder, 'usual'), { current: false, origin: 'Debian' });
    const other = built(join(folder, 'other'), { current: false, version: '2.4.0', origin: 'project venv' });
    const byVariable = built(join(folder, 'third'), { current: false, version: '2.5.0' });
    const current = () => chooseAddon({ env: {}, root: root() }).key;
    expect(selectAddon(byVariable, root())).toBe(true);
    expect(current()).toBe(buildKey(byVariable));
    expect(selectAddon(usual, root())).toBe(true);
    expect(selectAddon(usual, root())).toBe(false);
    expect(selectAddon(byVariable, root())).toBe(false);
    expect(current()).toBe(buildKey(usual));
    expect(selectAddon(other, root())).toBe(true);
    expect(current()).toBe(buildKey(other));
    expect(selectAddon({ ...usual, version: '2.9.9' }, root())).toBe(false);
  });

  it('is none before a build, after a deleted file and after a cut-off record', () => {
    write(join(source(), 'a.cc'), 'x');
    expect(chooseAddon({ env: {}, root: root() })).toMatchObject({ path: null, key: null });
    const libtorch = built(join(folder, 'torch'));
    const path = addonPath(buildKey(libtorch), root());
    rmSync(path);
    expect(chooseAddon({ env: {}, root: root() }).attempts).toEqual([`${path}: missing`]);
    const record = readFileSync(currentPath(root()), 'utf8');
    write(currentPath(root()), record.slice(0, record.length / 2));
    expect(chooseAddon({ env: {}, root: root() }).path).toBeNull();
  });

  it('counts as built only with the same sources, libtorch and Python, and its file in place', () => {
    write(join(source(), 'a.cc'), 'x');
    const libtorch = built(join(folder, 'torch'));
    const check = (candidate: Libtorch) => isBuilt(candidate, { source: source(), root: root() });
    expect(check(libtorch)).toBe(true);
    expect(check({ ...libtorch, root: fakeLibtorch(join(folder, 'moved')) })).toBe(false);
    expect(check({ ...libtorch, python: '/opt/new/bin/python' })).toBe(false);
    write(join(source(), 'a.cc'), 'y');
    expect(check(libtorch)).toBe(false);
    write(join(source(), 'a.cc'), 'x');
    rmSync(addonPath(buildKey(libtorch), root()));
    expect(check(libtorch)).toBe(false);
  });
});

describe('BLAS and compiler', () => {
  it.each([
    ['openblas-pthread/libblas.so.3', 'openblas', false],
    ['blas/libblas.so.3', 'reference', true],
    ['libmkl_rt.so', 'mkl', false],
  ])('knows %s', (target, name, slow) => {
    write(join(folder, target));
    symlinkSync(join(folder, target), join(folder, 'libblas.so.3'));
    expect(findBlas({ libDir: folder })).toMatchObject({ name, slow });
  });

  it('takes a libtorch without a libblas beside it for one with BLAS inside', () => {
    expect(findBlas({ libDir: folder })).toEqual({ name: 'bundled', path: null, slow: false });
  });

  it('says which compiler is too old', () => {
    const compiler = write(join(folder, 'g++'), '#!/bin/sh\necho "g++ (Debian) 9.4.0"\n');
    chmodSync(compiler, 0o755);
    expect(findCompiler({ CXX: compiler })).toMatchObject({ found: false });
    expect(findCompiler({ CXX: compiler }).reason).toContain('gcc 9.4.0, but the kernels need gcc 12.0');
    expect(findCompiler({ CXX: join(folder, 'none') }).reason).toContain(join(folder, 'none'));
    expect(existsSync(join(folder, 'none'))).toBe(false);
  });

  it('takes an nvcc of the CUDA that libtorch has, with a run-time beside it, and says why not', () => {
    const nvcc = write(
      join(folder, 'bin', 'nvcc'),
      '#!/bin/sh\necho "Cuda compilation tools, release 13.2, V13.2.86"\n',
    );
    chmodSync(nvcc, 0o755);
    const find = (cuda: string | null, path = nvcc) => findNvcc({ cuda }, { TLS_NVCC: path });
    expect(find(null)).toMatchObject({ found: false, reason: 'this libtorch has no CUDA' });
    expect(find('13.2', join(folder, 'none')).reason).toContain(`${join(folder, 'none')} not found`);
    expect(find('12.4').reason).toContain('of CUDA 13.2, but libtorch of CUDA 12.4');
    expect(find('13.0').reason).toContain('no libcudart_static.a');
    const runtime = write(join(folder, 'lib64', 'libcudart_static.a'));
    expect(find('13.0')).toMatchObject({
      found: true,
      path: nvcc,
      version: '13.2',
      runtime: realpathSync(runtime),
    });
  });
});
