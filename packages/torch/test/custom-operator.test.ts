// Operators that someone else compiled: a library registers them with TORCH_LIBRARY, loadLibrary loads it, and they are
// then called and differentiated like PyTorch's own.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findCompiler } from '../scripts/machine.mjs';
import { chooseAddon } from '../scripts/toolchain.mjs';
import {
  ArgumentError,
  loadLibrary,
  noGrad,
  operator,
  operatorSchema,
  scope,
  type Tensor,
  tensor,
} from '../src/index.js';

const SOURCE = `
#include <ATen/ops/add.h>
#include <torch/library.h>

at::Tensor twice(const at::Tensor& x) {
  TORCH_CHECK(x.dim() == 1, "twice: expected 1 dimension, received ", x.dim());
  return at::add(x, x);
}

TORCH_LIBRARY(mylib, m) { m.def("twice(Tensor x) -> Tensor", twice); }
`;

const libtorch = chooseAddon().libtorch;
const compiler = libtorch === null ? null : findCompiler().path;

function compile(folder: string): string {
  const { includeDirs, cxxStandard, cxx11Abi, libDir } = libtorch!;
  const [source, library] = [join(folder, 'twice.cc'), join(folder, 'twice.so')];
  writeFileSync(source, SOURCE);
  const flags = [
    `-std=c++${cxxStandard}`,
    `-D_GLIBCXX_USE_CXX11_ABI=${cxx11Abi ? 1 : 0}`,
    '-shared',
    '-fPIC',
    '-w',
  ];
  const search = includeDirs.flatMap((include) => ['-I', include]);
  const linked = ['-L', libDir, '-ltorch_cpu', '-lc10'];
  const ended = spawnSync(compiler!, [...flags, ...search, source, '-o', library, ...linked], {
    encoding: 'utf8',
  });
  if (ended.status !== 0) throw new Error(ended.stderr);
  return library;
}

const needsCompiler = compiler === null ? ' (skipped: no C++ compiler)' : '';

describe.skipIf(compiler === null)(`an operator of a library${needsCompiler}`, () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'custom-operator-'));
    loadLibrary(compile(folder));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const twice = operator<(x: Tensor) => Tensor>('mylib::twice');

  test('is called by name, with its schema', () => {
    expect(operatorSchema('mylib::twice')).toBe('mylib::twice(Tensor x) -> Tensor');
    scope(() => expect(twice(tensor([1, 2])).tolist()).toEqual([2, 4]));
  });

  test('is differentiated', () => {
    scope(() => {
      const x = tensor([1, 2], { requiresGrad: true });
      twice(twice(x)).sum().backward();
      expect(x.grad!.tolist()).toEqual([4, 4]);
      expect(noGrad(() => twice(x)).requiresGrad).toBe(false);
    });
  });

  test('its errors name it and what came', () => {
    scope(() =>
      expect(() => twice(tensor([[1]]))).toThrow(
        'mylib::twice: twice: expected 1 dimension, received 2; called with (float32[1,1])',
      ),
    );
  });
});

test('a library that cannot be loaded', () => {
  expect(() => loadLibrary('/no/such/library.so')).toThrow('loadLibrary: cannot load /no/such/library.so: ');
  expect(() => loadLibrary('')).toThrow(ArgumentError);
  expect(() => loadLibrary('x\0y')).toThrow('loadLibrary: expected the path of a shared library');
});
