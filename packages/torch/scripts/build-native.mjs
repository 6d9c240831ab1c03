/**
 * Compiles the bridge for one libtorch into `<key>/torch.node` under the folder for builds.
 * The finished file is renamed into place and the stamp written last, so an interrupted build is just not there.
 * Plain JavaScript without dependencies.
 */
import { spawn } from 'node:child_process';
import {
  accessSync,
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  addonPath,
  buildKey,
  isBuilt,
  napiVersion,
  nativeRoot,
  selectAddon,
  sourceHash,
  stampPath,
} from './addon.mjs';
import { flush, writeDurably } from './durable-file.mjs';
import { explainNoLibtorch, findLibtorch } from './libtorch.mjs';
import { withLock } from './lock.mjs';
import { findBuildProgram, findCmake, findCompiler, findNvcc } from './machine.mjs';
import { buildRoot, packageRoot } from './place.mjs';

/** @import { AddonStamp, BuildOptions, BuildResult, Libtorch } from './toolchain.d.mts' */

/** Of GPUs that the kernels are compiled for; newer ones compile the last one's again when the program starts. */
const cudaArchitectures = '80;90';

/** A build that cannot start or that failed; the message is one line for the user. */
export class NativeBuildError extends Error {
  /** @override */
  name = 'NativeBuildError';
}

/**
 * @param {BuildOptions} options
 * @returns {Promise<BuildResult>}
 * @throws {NativeBuildError} naming the first compiler error and the log
 */
export async function buildNative({
  libtorch,
  source = nativeRoot,
  root = buildRoot,
  jobs = 2,
  log = () => {},
}) {
  const key = buildKey(libtorch);
  const folder = join(root, key);
  const path = addonPath(key, root);
  makeWritable(folder);
  return withLock(join(folder, 'build.lock'), log, async (hold) => {
    // Checked under the lock: the process waited for may have built the very same.
    if (isBuilt(libtorch, { source, root })) {
      selectAddon(libtorch, root);
      return { status: 'current', key, path, seconds: 0 };
    }
    const started = performance.now();
    const hash = sourceHash(source);
    rmSync(stampPath(key, root), { force: true });
    await compile({ libtorch, source: resolve(source), folder, jobs, log, hold });
    install(join(folder, 'cmake', 'torch.node'), path);
    writeDurably(stampPath(key, root), JSON.stringify(makeStamp(libtorch, key, path, hash), null, 2));
    selectAddon(libtorch, root);
    return { status: 'built', key, path, seconds: (performance.now() - started) / 1000 };
  });
}

/** @param {string} folder that is made unless it is there */
function makeWritable(folder) {
  try {
    mkdirSync(folder, { recursive: true });
    accessSync(folder, constants.W_OK);
  } catch (error) {
    const why = error instanceof Error && 'code' in error ? error.code : error;
    throw new NativeBuildError(
      `cannot write to ${folder} (${why}); TLS_BUILD_FOLDER=/a/folder names another place for builds`,
    );
  }
}

/** @param {Libtorch} libtorch @param {string} key @param {string} path @param {string} hash @returns {AddonStamp} */
function makeStamp(libtorch, key, path, hash) {
  const { version, cuda } = libtorch;
  return {
    key,
    path,
    version,
    cuda,
    nvcc: findNvcc(libtorch).path,
    libtorch,
    sourceHash: hash,
    builtAt: new Date().toISOString(),
  };
}

/**
 * @param {{ libtorch: Libtorch, source: string, folder: string, jobs: number, log: (line: string) => void,
 *   hold: (pid: number | undefined) => void }} options
 */
async function compile({ libtorch, source, folder, jobs, log, hold }) {
  const cmakeFolder = join(folder, 'cmake');
  const logPath = join(folder, 'build.log');
  const underWay = join(folder, 'under-way');
  // Make takes an object file that a killed compiler left half-written for a finished one.
  if (existsSync(underWay)) rmSync(cmakeFolder, { recursive: true, force: true });
  mkdirSync(cmakeFolder, { recursive: true });
  writeFileSync(underWay, '');
  writeFileSync(logPath, '');
  const nvcc = findNvcc(libtorch);
  const kernels =
    libtorch.cuda === null ? '' : nvcc.found ? ' with CUDA kernels' : ` without CUDA kernels: ${nvcc.reason}`;
  log(
    `compiling the bridge for libtorch ${libtorch.version} (${libtorch.origin})${kernels}; log: ${logPath}`,
  );
  try {
    await runLogged('cmake', configureArguments(libtorch, source, cmakeFolder), logPath, hold);
    await runLogged('cmake', ['--build', cmakeFolder, '--parallel', String(jobs)], logPath, hold);
  } finally {
    rmSync(underWay);
  }
}

/** @param {Libtorch} libtorch @param {string} source @param {string} cmakeFolder */
function configureArguments(libtorch, source, cmakeFolder) {
  const compiler = findCompiler();
  if (compiler.path === null) throw new NativeBuildError(compiler.reason ?? 'no C++ compiler found');
  const cmake = findCmake();
  if (!cmake.found) throw new NativeBuildError(cmake.reason ?? 'cmake not found');
  const program = findBuildProgram();
  if (!program.found) throw new NativeBuildError(program.reason ?? 'no build program found');
  const nvcc = findNvcc(libtorch);
  /** @type {Record<string, string>} */
  const settings = {
    CMAKE_CXX_COMPILER: compiler.path,
    CMAKE_BUILD_TYPE: 'Release',
    TLS_INCLUDES: libtorch.includeDirs.join(';'),
    TLS_LIBRARIES: libtorch.libraries.join(';'),
    TLS_LIB_DIR: libtorch.libDir,
    TLS_CXX_STANDARD: String(libtorch.cxxStandard),
    TLS_CXX11_ABI: libtorch.cxx11Abi ? '1' : '0',
    TLS_OPENMP: libtorch.openmp ?? '',
    TLS_NODE_HEADERS: findNodeHeaders(),
    TLS_NAPI_VERSION: String(napiVersion),
    TLS_SOURCE: source,
    TLS_NVCC: nvcc.path ?? '',
    TLS_CUDA_RUNTIME: nvcc.runtime ?? '',
    TLS_CUDA_INCLUDES: nvcc.includeDir ?? '',
    TLS_CUDA_ARCHITECTURES: process.env.TLS_CUDA_ARCHITECTURES || cudaArchitectures,
  };
  // A cache of another generator or compiler makes CMake stop, so each configuration starts from its own arguments.
  const generator = program.path === 'ninja' ? 'Ninja' : 'Unix Makefiles';
  discardOtherCache(cmakeFolder, generator, compiler.path);
  const definitions = Object.entries(settings).map(([name, value]) => `-D${name}=${value}`);
  return ['-S', nativeRoot, '-B', cmakeFolder, '-G', generator, ...definitions];
}

/** @param {string} cmakeFolder @param {string} generator @param {string} compiler */
function discardOtherCache(cmakeFolder, generator, compiler) {
  const cache = join(cmakeFolder, 'CMakeCache.txt');
  if (!existsSync(cache)) return;
  const text = readFileSync(cache, 'utf8');
  const sameGenerator = text.includes(`CMAKE_GENERATOR:INTERNAL=${generator}\n`);
  const sameCompiler =
    text.includes(`CMAKE_CXX_COMPILER:`) &&
    new RegExp(`^CMAKE_CXX_COMPILER:.*${compiler.replaceAll('+', '\\+')}$`, 'm').test(text);
  const sameHome = text.includes(`CMAKE_HOME_DIRECTORY:INTERNAL=${nativeRoot}\n`);
  if (sameGenerator && sameCompiler && sameHome) return;
  rmSync(cmakeFolder, { recursive: true });
  mkdirSync(cmakeFolder, { recursive: true });
}

/** @returns {string} the include folder of node-api-headers, found by walking up from this package */
function findNodeHeaders() {
  for (let folder = packageRoot; ; folder = dirname(folder)) {
    const include = join(folder, 'node_modules', 'node-api-headers', 'include');
    if (existsSync(join(include, 'node_api.h'))) return include;
    if (folder === dirname(folder))
      throw new NativeBuildError('node-api-headers is not installed; run: npm install');
  }
}

/**
 * @param {string} command @param {string[]} args @param {string} logPath
 * @param {(pid: number | undefined) => void} hold
 * @returns {Promise<void>}
 */
function runLogged(command, args, logPath, hold) {
  const output = openSync(logPath, 'a');
  /** @type {Promise<void>} */
  const ended = new Promise((done, fail) => {
    const child = spawn(command, args, { stdio: ['ignore', output, output] });
    hold(child.pid);
    child.once('error', (error) => fail(new NativeBuildError(`${command} does not start: ${error.message}`)));
    child.once('close', (code, signal) => {
      if (code === 0) done();
      else fail(new NativeBuildError(describeFailure(readFileSync(logPath, 'utf8'), logPath, signal)));
    });
  });
  return ended.finally(() => closeSync(output));
}

const errorLine =
  /(fatal error|\berror):|undefined reference|CMake Error|cannot find|No space left|[Kk]illed signal/;

/**
 * @param {string} text of build.log @param {string} logPath @param {string | null} signal
 * @returns {string}
 */
export function describeFailure(text, logPath, signal) {
  const lines = text.split('\n').map((line) => line.trim());
  const first = lines.findIndex((line) => errorLine.test(line));
  const bare = /^CMake Error at .*:$/.test(lines[first] ?? '');
  const cause =
    first < 0
      ? (lines.filter(Boolean).at(-1) ?? 'no output')
      : lines.slice(first, first + (bare ? 2 : 1)).join(' ');
  const killed = signal === null ? '' : ` (ended by ${signal})`;
  return `the native build failed${killed}: ${cause} (whole log: ${logPath})`;
}

/** @param {string} built @param {string} path */
function install(built, path) {
  if (!existsSync(built)) throw new NativeBuildError(`the build ended well but made no ${built}`);
  const temporary = `${path}.tmp`;
  copyFileSync(built, temporary);
  flush(temporary);
  renameSync(temporary, path);
}

async function main() {
  const { values } = parseArgs({
    options: { source: { type: 'string' }, jobs: { type: 'string', default: '2' } },
  });
  const { chosen, candidates } = findLibtorch();
  if (chosen === null) throw new NativeBuildError(explainNoLibtorch(candidates));
  const log = (/** @type {string} */ line) => console.log(line);
  const options = { libtorch: chosen, jobs: Number(values.jobs), log };
  const result = await buildNative(
    values.source === undefined ? options : { ...options, source: values.source },
  );
  console.log(`${result.path} (${result.status}, ${result.seconds.toFixed(1)} s)`);
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  main().catch((error) => {
    console.error(error instanceof NativeBuildError ? error.message : error);
    process.exitCode = 1;
  });
}
