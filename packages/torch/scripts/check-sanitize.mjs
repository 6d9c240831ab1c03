/**
 * Builds the bridge with the sanitizers of addresses and of undefined behaviour, and runs the package's tests, those of sequences spread
 * over processes, and calls of everything with everything (`test/programs/hostile-input.mjs`) with it. libtorch itself is as it is: what the bridge hands it wrongly is seen where the
 * bridge's own code touches it, or in the memory that both share.
 *
 *   npm run check:sanitize [-- --calls 5000] [--seeds 3] [--no-tests] [--jobs 2]
 *
 * Leaks are not looked for this way, since Node and libtorch keep much until the end: tests of live tensors do that.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { findCompiler } from './machine.mjs';

const packageRoot = fileURLToPath(new URL('..', import.meta.url));
const root = dirname(dirname(packageRoot));
const buildRoot = join(packageRoot, 'build', 'sanitize');
// `vptr` would need the type information that libtorch hides.
const FLAGS =
  '-fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g1';
/** These build bridges, ask what is installed or measure the memory of the process, which the sanitizer changes. */
const LEFT_OUT = /native-build|toolchain|doctor|memory|hostile-input|collector|kernels/;
/** Of another package, since models are what calls these operators as training does; its processes inherit the sanitizers. */
const SHARDED = 'packages/transformer-ls/test/models/sharded.test.ts';

/** @param {string} message */
function fail(message) {
  throw new Error(`check:sanitize: ${message}`);
}

/** @param {string} program @param {string[]} args @param {Record<string, string>} env */
function run(program, args, env) {
  const { status, signal, error } = spawnSync(program, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: 'inherit',
  });
  return error === undefined && status === 0 ? null : (error?.message ?? signal ?? `exit code ${status}`);
}

/** @param {string} compiler */
function sanitizerLibrary(compiler) {
  const { stdout } = spawnSync(compiler, ['-print-file-name=libasan.so'], { encoding: 'utf8' });
  const path = stdout?.trim() ?? '';
  if (!existsSync(path)) fail(`${compiler} has no libasan.so: install the sanitizers of your compiler`);
  return path;
}

/** @returns {number} exit code */
function main() {
  const { values } = parseArgs({
    options: {
      calls: { type: 'string', default: '5000' },
      seeds: { type: 'string', default: '3' },
      jobs: { type: 'string', default: '2' },
      tests: { type: 'boolean', default: true },
    },
    allowNegative: true,
  });
  const compiler = findCompiler();
  if (compiler.path === null) fail(compiler.reason ?? 'no compiler');
  const library = sanitizerLibrary(/** @type {string} */ (compiler.path));
  const own = { TLS_BUILD_FOLDER: buildRoot };
  const build = join(packageRoot, 'scripts', 'build-native.mjs');
  const notBuilt = run(process.execPath, [build, '--jobs', values.jobs], {
    ...own,
    CXXFLAGS: FLAGS,
    LDFLAGS: '-fsanitize=address,undefined',
  });
  if (notBuilt !== null) fail(`the bridge was not built: ${notBuilt}`);
  const env = {
    ...own,
    LD_PRELOAD: library,
    // V8 answers some segmentation faults itself; its allocations are its own. More memory than there is is an error of libtorch's.
    ASAN_OPTIONS:
      'detect_leaks=0:handle_segv=0:allow_user_segv_handler=1:alloc_dealloc_mismatch=0:allocator_may_return_null=1:abort_on_error=1',
    UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
  };
  const problems = [...(values.tests ? testProblems(env) : []), ...hostileProblems(env, values)];
  for (const problem of problems) console.error(`check:sanitize: ${problem}`);
  console.log(
    problems.length === 0 ? 'check:sanitize: nothing found' : `check:sanitize: ${problems.length} problem(s)`,
  );
  return problems.length === 0 ? 0 : 1;
}

/** @param {Record<string, string>} env @returns {string[]} */
function testProblems(env) {
  const files = readdirSync(join(packageRoot, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts') && !name.endsWith('.full.test.ts') && !LEFT_OUT.test(name))
    .map((name) => join('packages/torch/test', name))
    .concat(SHARDED);
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const ended = run(process.execPath, [vitest, 'run', ...files], env);
  return ended === null ? [] : [`the tests of the package: ${ended}`];
}

/**
 * Calls of everything with everything, one process a seed.
 *
 * @param {Record<string, string>} env @param {{ calls: string, seeds: string }} amount @returns {string[]}
 */
function hostileProblems(env, { calls, seeds }) {
  const folder = mkdtempSync(join(tmpdir(), 'tls-sanitize-'));
  const note = join(folder, 'note');
  const program = join(packageRoot, 'test', 'programs', 'hostile-input.mjs');
  const index = join(packageRoot, 'dist', 'index.js');
  const problems = [];
  for (const mode of ['binding', 'api', 'operators'])
    for (let seed = 1; seed <= Number(seeds); seed += 1) {
      const ended = run(process.execPath, [program, mode, index, note, String(seed), calls], env);
      const last = readFileSync(note, 'utf8').trim();
      console.log(`${mode}, seed ${seed}: ${ended ?? `${calls} calls`}`);
      if (ended !== null) problems.push(`${mode}, seed ${seed}: ${ended}; last call: ${last}`);
    }
  rmSync(folder, { recursive: true });
  return problems;
}

try {
  process.exitCode = main();
} catch (error) {
  console.error(/** @type {Error} */ (error).message);
  process.exitCode = 1;
}
