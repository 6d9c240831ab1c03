// The packages as users get them: packed, installed into empty folders without install scripts, built, run.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const ENGINE = 'onnxruntime-node@1.30.0';
let scratch: string;
let packed: string;

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A user's environment: nothing of the clone's is in the way. */
function run(cwd: string, command: string, args: readonly string[], more: NodeJS.ProcessEnv = {}): Ran {
  const { TLS_BUILD_FOLDER: _folder, NODE_PATH: _path, ...env } = process.env;
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    env: { ...env, ...more },
  });
  if (error) throw error;
  return { status, stdout, stderr };
}

function succeed(cwd: string, command: string, args: readonly string[], more?: NodeJS.ProcessEnv): string {
  const { status, stdout, stderr } = run(cwd, command, args, more);
  expect(status, `${command} ${args.join(' ')}\n${stdout}${stderr}`).toBe(0);
  return stdout;
}

/** An empty project with these packages of ours, and others by name. */
function project(name: string, ours: readonly string[], others: readonly string[]): string {
  const folder = join(scratch, name);
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  const files = ours.map((one) => join(packed, `${one}-${version}.tgz`));
  succeed(folder, 'npm', [
    'install',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--silent',
    ...files,
    ...others,
  ]);
  return folder;
}

const { version } = JSON.parse(readFileSync(join(root, 'packages/transformer-ls/package.json'), 'utf8')) as {
  version: string;
};

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'tls pack '));
  packed = join(scratch, 'packed');
  succeed(root, process.execPath, ['scripts/pack.mjs', packed]);
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe('the packed packages', () => {
  it('hold what is needed and nothing else', () => {
    for (const file of readdirSync(packed)) {
      const names = succeed(packed, 'tar', ['-tzf', file]).trim().split('\n');
      for (const needed of ['package/LICENSE', 'package/README.md', 'package/dist/index.d.ts'])
        expect(names).toContain(needed);
      const strange = names.filter((name) => /\.test\.ts$|tsbuildinfo|native\/test\/|goldens\//.test(name));
      expect(strange, file).toEqual([]);
      const { scripts } = JSON.parse(succeed(packed, 'tar', ['-xzOf', file, 'package/package.json'])) as {
        scripts?: object;
      };
      expect(scripts, `${file} has no scripts that an install could run`).toBeUndefined();
    }
  });
});

describe('the runtime alone', () => {
  it('streams text by the program in README', () => {
    const folder = project('runtime', ['transformer-ls-formats', 'transformer-ls-runtime'], [ENGINE]);
    expect(readdirSync(join(folder, 'node_modules/@transformer-ls'))).toEqual(['formats', 'runtime']);
    cpSync(join(root, 'models/wikipedia/onnx'), join(folder, 'wikipedia'), { recursive: true });
    const section = readFileSync(join(root, 'README.md'), 'utf8').split('\n## Without libtorch')[1];
    const program = /```js\n([\s\S]*?)```/.exec(section!)![1]!;
    expect(program.trim().split('\n').length).toBeLessThanOrEqual(10);
    writeFileSync(join(folder, 'hello.mjs'), program);
    expect(succeed(folder, process.execPath, ['hello.mjs']).length).toBeGreaterThan(100);
  });
});

describe('everything', () => {
  let folder: string;
  const environment = () => ({ XDG_CACHE_HOME: join(scratch, 'cache') });
  const command = (...args: string[]) =>
    run(folder, join(folder, 'node_modules/.bin/transformer-ls'), args, environment());

  beforeAll(() => {
    const ours = ['formats', 'torch', 'runtime'].map((name) => `transformer-ls-${name}`);
    folder = project('everything', [...ours, 'transformer-ls'], [ENGINE]);
  });

  it('says in one line what to run where the bridge is not built', () => {
    const { status, stderr } = command('classify', 'film-reviews', '--text', 'A film.');
    expect(status).toBe(1);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(stderr).toContain('mend it with: npx transformer-ls build');
    const doctor = command('doctor');
    expect(doctor.stdout).toMatch(/fail {2}native bridge .*\n *mend it: npx transformer-ls build/);
  });

  it('builds the bridge outside node_modules', () => {
    const place = join(folder, 'node_modules/@transformer-ls/torch');
    const before = readdirSync(place, { recursive: true });
    const { status, stdout, stderr } = command('build', '--jobs', '1');
    expect(status, stderr).toBe(0);
    expect(stdout).toContain(join(scratch, 'cache/transformer-ls', `bridge-${version}`));
    expect(readdirSync(place, { recursive: true })).toEqual(before);
    expect(command('build').stdout).toMatch(/^built already: /);
    expect(command('doctor').status).toBe(0);
  });

  it('classifies by a shipped model', () => {
    const review = 'A wonderful film with wonderful actors. I loved every minute, and so will you.';
    expect(command('classify', 'film-reviews', '--text', review).stdout).toMatch(/^positive\n/);
  });

  it('trains on own text, and the model writes', () => {
    writeFileSync(join(folder, 'notes.txt'), 'The quick brown fox jumps over the lazy dog. '.repeat(3000));
    const small = [
      '--model',
      'debug',
      '--batch',
      '2',
      '--segment',
      '64',
      '--steps',
      '2',
      '--set',
      'schedule.warmupSteps=1',
    ];
    const trained = command('train', 'text/small', '--from', 'notes.txt', ...small, '--out', 'runs/mine');
    expect(trained.status, trained.stderr).toBe(0);
    const written = command('generate', 'runs/mine', '--prompt', 'The ', '--tokens', '20', '--seed', '1');
    expect(written.status, written.stderr).toBe(0);
  });

  // What nobody has to install: types of Node, a compiler. No skipLibCheck: the types must stand by themselves.
  it.each(['nodenext', 'bundler'])('is imported from TypeScript with moduleResolution %s', (resolution) => {
    const module = resolution === 'nodenext' ? 'nodenext' : 'esnext';
    writeFileSync(join(folder, `${resolution}.ts`), TYPED);
    const options = {
      target: 'es2022',
      lib: ['es2023'],
      module,
      moduleResolution: resolution,
      strict: true,
      skipLibCheck: false,
      typeRoots: [join(root, 'node_modules/@types')],
      types: ['node'],
    };
    const settings = join(folder, `tsconfig.${resolution}.json`);
    writeFileSync(settings, JSON.stringify({ compilerOptions: options, files: [`${resolution}.ts`] }));
    succeed(folder, process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', settings]);
    expect(succeed(folder, process.execPath, [`${resolution}.js`], environment())).toBe(
      '1,5,8 4,5 number,\n',
    );
  });
});

/** Names every public entry, and uses each as a program would. */
const TYPED = `
import { bytesSource, encodeSafetensors, fromFloat32, openSafetensors } from '@transformer-ls/formats';
import type * as onnx from '@transformer-ls/formats/onnx';
import { type LanguageModel, loadInWorker, loadLanguageModel } from '@transformer-ls/runtime';
import { extendTogether, randn, ShardedSequence, scope, stretchesOf } from '@transformer-ls/torch';
import type { buildNative } from '@transformer-ls/torch/build';
import type { Finding } from '@transformer-ls/torch/doctor';
import { chooseAddon } from '@transformer-ls/torch/toolchain';
import { BidirectionalAttention, generate, loadLanguageModel as loadTrained } from 'transformer-ls';

export type All = [typeof onnx, LanguageModel, typeof buildNative, Finding];
export const unused = [loadInWorker, loadLanguageModel, generate, loadTrained, ShardedSequence, extendTogether];

const layer = new BidirectionalAttention({
  modelDim: 8, heads: 2, windowSize: 2, projectionRank: 2, convolutionSize: null, attentionDropout: 0, mode: 'consistent',
});
const shape: readonly number[] = scope(() => layer.forward(randn([1, 5, 8]), null).shape);
const file = await openSafetensors(bytesSource(encodeSafetensors({ a: fromFloat32(Float32Array.of(1), 'F32', [1]) })));
console.log(\`\${shape} \${stretchesOf(9, 2, 4)} \${typeof file.entries.size},\${chooseAddon().path === null ? 'none' : ''}\`);
`;
