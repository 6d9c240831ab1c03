/**
 * Finds a libtorch: which ones this machine has, which is preferred, and why the others were passed over.
 * Plain JavaScript without dependencies, because it runs before any package is installed.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** @import { FindOptions, LibtorchCandidate, LibtorchFindings, LibtorchSearch, TorchPreference } from './toolchain.d.mts' */

export const packageRoot = dirname(dirname(fileURLToPath(import.meta.url)));
/** Where built bridges lie; `TLS_TORCH_BUILD` names another place, so that a check can load one of its own. */
export const buildRoot = process.env.TLS_TORCH_BUILD || join(packageRoot, 'build');

/** The lowest libtorch the bridge is written for; package.json is the one place that says it. */
export const minimumTorch = JSON.parse(
  readFileSync(join(packageRoot, 'package.json'), 'utf8'),
).config.libtorch.replace('>=', '');

/** Debian's library folders are named after the processor; `elf` is the number in an ELF header's e_machine. */
const machines = {
  x64: { triplet: 'x86_64-linux-gnu', elf: 62 },
  arm64: { triplet: 'aarch64-linux-gnu', elf: 183 },
  riscv64: { triplet: 'riscv64-linux-gnu', elf: 243 },
};

const elfNames = new Map(Object.entries(machines).map(([name, { elf }]) => [elf, name]));

const neededLibraries = ['libtorch.so', 'libtorch_cpu.so', 'libc10.so'];
const cudaLibraries = ['libtorch_cuda.so', 'libc10_cuda.so'];
const neededHeaders = ['torch/library.h', 'ATen/core/dispatch/Dispatcher.h', 'c10/core/Device.h'];
const apiFolder = 'torch/csrc/api/include';

/** @param {string} arch @returns {string | null} */
export function multiarch(arch = process.arch) {
  return Object.hasOwn(machines, arch) ? machines[/** @type {keyof typeof machines} */ (arch)].triplet : null;
}

/**
 * Looks for libtorch in order of preference: `LIBTORCH`, `TORCH_PYTHON`, `VIRTUAL_ENV`, the virtual environment that
 * `npm run setup -- --torch pip` makes, Debian's packages, `python3` on the path. It stops at the first that is
 * whole unless `all` is set, because asking a Python costs time. A variable that names an unusable libtorch ends the
 * search: falling back in silence would train on another library than the one asked for.
 *
 * @param {FindOptions} [options]
 * @returns {LibtorchSearch}
 */
export function findLibtorch(options = {}) {
  const { all = false } = options;
  /** @type {LibtorchCandidate[]} */
  const candidates = [];
  /** @type {LibtorchCandidate | null} */
  let chosen = null;
  let stopped = false;
  for (const { origin, explicit, look } of searchOrder(options)) {
    if ((chosen !== null || stopped) && !all) break;
    const findings = look();
    if (findings === null) continue;
    const candidate = { origin, ...findings };
    candidates.push(candidate);
    if (chosen === null && !stopped && candidate.complete) chosen = candidate;
    stopped ||= explicit && !candidate.complete;
  }
  return { chosen, candidates };
}

/** @typedef {{ origin: LibtorchCandidate['origin'], explicit: boolean, look: () => LibtorchFindings | null }} Place */

/** @param {FindOptions} options @returns {Place[]} */
function searchOrder({ env = process.env, systemRoot = '/', projectVenv, preference } = {}) {
  const venv = projectVenv ?? join(buildRoot, 'venv');
  /** @type {Place} */
  const debian = { origin: 'Debian', explicit: false, look: () => lookAtDebian(systemRoot) };
  /** @type {Place} */
  const project = { origin: 'project venv', explicit: false, look: () => lookInVenv(venv) };
  const wanted = preference ?? readTorchPreference();
  return [
    { origin: 'LIBTORCH', explicit: true, look: () => (env.LIBTORCH ? inspectLibtorch(env.LIBTORCH) : null) },
    {
      origin: 'TORCH_PYTHON',
      explicit: true,
      look: () => (env.TORCH_PYTHON ? askPython(env.TORCH_PYTHON) : null),
    },
    {
      origin: 'VIRTUAL_ENV',
      explicit: false,
      look: () => (env.VIRTUAL_ENV ? lookInVenv(env.VIRTUAL_ENV) : null),
    },
    ...(wanted === 'debian' ? [debian, project] : [project, debian]),
    { origin: 'python3', explicit: false, look: () => lookAtPathPython(env) },
  ];
}

/** What `npm run setup -- --torch pip|debian` chose last; a file, so that `npm test` afterwards uses the same. */
export const torchPreferencePath = join(buildRoot, 'torch-preference');

/** @returns {TorchPreference | null} */
export function readTorchPreference() {
  if (!existsSync(torchPreferencePath)) return null;
  const text = readFileSync(torchPreferencePath, 'utf8').trim();
  return text === 'pip' || text === 'debian' ? text : null;
}

/** @param {string} systemRoot @returns {LibtorchFindings | null} */
function lookAtDebian(systemRoot) {
  const usr = join(systemRoot, 'usr');
  const triplet = multiarch();
  if (triplet === null || !existsSync(join(usr, 'lib', triplet, 'libtorch_cpu.so'))) return null;
  return inspectLibtorch(usr);
}

/** @param {string} venv @returns {LibtorchFindings | null} */
function lookInVenv(venv) {
  const python = join(venv, 'bin', 'python');
  return existsSync(python) ? askPython(python) : null;
}

/** @param {NodeJS.ProcessEnv} env @returns {LibtorchFindings | null} */
function lookAtPathPython(env) {
  const found = (env.PATH ?? '')
    .split(':')
    .some((folder) => folder !== '' && existsSync(join(folder, 'python3')));
  return found ? askPython('python3') : null;
}

/**
 * Where a Python keeps its torch. Only the folder is asked for: importing torch would take seconds.
 *
 * @param {string} python @returns {LibtorchFindings}
 */
function askPython(python) {
  const question = 'import importlib.util as u; s = u.find_spec("torch"); print((s and s.origin) or "")';
  const answer = spawnSync(python, ['-c', question], { encoding: 'utf8', timeout: 30_000 });
  if (answer.error || answer.status !== 0) {
    const why = answer.error?.message ?? lastLine(answer.stderr);
    return { ...nothingFound(python, `the Python ${python} does not answer: ${why}`), python };
  }
  const initFile = answer.stdout.trim();
  if (initFile === '') return { ...nothingFound(python, `the Python ${python} has no torch`), python };
  return { ...inspectLibtorch(dirname(initFile)), python };
}

/** @param {string} text */
function lastLine(text) {
  return text.trim().split('\n').at(-1) ?? '';
}

/** @param {string} root @param {string} reason @returns {LibtorchFindings} */
function nothingFound(root, reason) {
  return { ...emptyFindings, root, missing: [reason], rejected: reason };
}

/** @type {LibtorchFindings} */
const emptyFindings = {
  root: '',
  libDir: '',
  includeDirs: [],
  libraries: [],
  python: null,
  version: 'unknown',
  cxx11Abi: true,
  cxxStandard: 17,
  cuda: null,
  openmp: null,
  complete: false,
  missing: [],
  rejected: null,
};

/**
 * Reads one libtorch: an unpacked libtorch archive, the `torch` folder of a Python, or `/usr`.
 *
 * @param {string} root folder with `lib/` and `include/`
 * @returns {LibtorchFindings} never throws: what is wrong is in `missing` and `rejected`
 */
export function inspectLibtorch(root) {
  if (!existsSync(root)) return nothingFound(root, `${root} does not exist`);
  const libDir = findLibDir(root);
  const include = join(root, 'include');
  const missing = [
    ...neededLibraries.filter((name) => !existsSync(join(libDir, name))).map((name) => join(libDir, name)),
    ...neededHeaders.filter((name) => !existsSync(join(include, name))).map((name) => join(include, name)),
  ];
  const version = readVersion(include);
  const c10 = join(libDir, 'libc10.so');
  const c10Bytes = existsSync(c10) ? readFileSync(c10) : null;
  const rejected = rejection(root, missing, version, c10Bytes);
  const found = [...neededLibraries, ...cudaLibraries]
    .map((name) => join(libDir, name))
    .filter((path) => existsSync(path));
  return {
    ...emptyFindings,
    root,
    libDir,
    includeDirs: [include, join(include, apiFolder)],
    libraries: found,
    version: version ?? 'unknown',
    cxx11Abi: c10Bytes?.includes('__cxx11') ?? true,
    cxxStandard: readCxxStandard(include),
    cuda: existsSync(join(libDir, 'libtorch_cuda.so')) ? readCudaVersion(root) : null,
    openmp: findBundledOpenMp(libDir),
    complete: rejected === null,
    missing,
    rejected,
  };
}

/** @param {string} root @param {string[]} missing @param {string | null} version @param {Buffer | null} c10 */
function rejection(root, missing, version, c10) {
  if (missing.length > 0) return `incomplete: no ${missing.join(', no ')}`;
  if (version === null) return `no version in ${join(root, 'include', apiFolder, 'torch/version.h')}`;
  if (compareVersions(version, minimumTorch) < 0) {
    return `version ${version} is too old: ${minimumTorch} or newer is needed`;
  }
  const built = c10 === null ? null : elfMachine(c10);
  return built === null || built === process.arch
    ? null
    : `built for ${built}, but this Node runs on ${process.arch}`;
}

/** @param {Buffer} bytes @returns {string | null} null where the file is no ELF file or of a machine unknown here */
function elfMachine(bytes) {
  const isElf = bytes.length >= 20 && bytes.readUInt32BE(0) === 0x7f454c46;
  return isElf ? (elfNames.get(bytes.readUInt16LE(18)) ?? null) : null;
}

/** @param {string} root */
function findLibDir(root) {
  const triplet = multiarch();
  const folders = [
    join(root, 'lib'),
    ...(triplet === null ? [] : [join(root, 'lib', triplet)]),
    join(root, 'lib64'),
  ];
  return folders.find((folder) => existsSync(join(folder, 'libc10.so'))) ?? join(root, 'lib');
}

/** @param {string} include @returns {string | null} */
function readVersion(include) {
  // Newer versions keep the macro in the second file and only include it from the first.
  for (const name of [join(apiFolder, 'torch/version.h'), 'torch/headeronly/version.h']) {
    const path = join(include, name);
    const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
    const version = /#define TORCH_VERSION\s*\\?\s*"([0-9]+\.[0-9]+\.[0-9]+)/.exec(text)?.[1];
    if (version !== undefined) return version;
  }
  return null;
}

/** The headers state the standard they need in their own #error line. @param {string} include @returns {17 | 20} */
function readCxxStandard(include) {
  const path = join(include, apiFolder, 'torch/all.h');
  const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
  const standard = Number(/#error C\+\+([0-9]+) or later/.exec(text)?.[1] ?? 17);
  return standard > 17 ? 20 : 17;
}

/** @param {string} root @returns {string} such as `13.2`, or `unknown` */
function readCudaVersion(root) {
  const python = join(root, 'version.py');
  const fromPython = existsSync(python) ? readFileSync(python, 'utf8') : '';
  const stated = /^cuda[^=\n]*= *'([0-9.]+)'/m.exec(fromPython)?.[1];
  if (stated !== undefined) return stated;
  const archive = join(root, 'build-version');
  const suffix = existsSync(archive) ? /\+cu([0-9]+)([0-9])\s*$/.exec(readFileSync(archive, 'utf8')) : null;
  return suffix === null ? 'unknown' : `${suffix[1]}.${suffix[2]}`;
}

/**
 * Python wheels carry their own OpenMP run-time, some under a name of their own. Linking that very file keeps one
 * thread pool in the process where `-fopenmp` alone would bring a second.
 *
 * @param {string} libDir @returns {string | null}
 */
function findBundledOpenMp(libDir) {
  for (const folder of [libDir, join(dirname(dirname(libDir)), 'torch.libs')]) {
    if (!existsSync(folder) || folder.startsWith('/usr/lib')) continue;
    const name = readdirSync(folder).find((file) => /^libgomp.*\.so/.test(file));
    if (name !== undefined) return join(folder, name);
  }
  return null;
}

/** @param {string} a @param {string} b @returns {number} below 0 where a is the older */
export function compareVersions(a, b) {
  const [left, right] = [a, b].map((text) => text.split('.').map(Number));
  for (let i = 0; i < 3; i++) {
    const difference = (left?.[i] ?? 0) - (right?.[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Same folder, whatever links lead to it. @param {string} a @param {string} b */
export function samePath(a, b) {
  return existsSync(a) && existsSync(b) ? realpathSync(a) === realpathSync(b) : a === b;
}

/**
 * Why nothing was chosen, in one line.
 *
 * @param {LibtorchCandidate[]} candidates
 */
export function explainNoLibtorch(candidates) {
  const rejected = candidates.filter((candidate) => candidate.rejected !== null);
  if (rejected.length === 0) return 'no libtorch found: no LIBTORCH, no Python with torch, no libtorch-dev';
  return `no usable libtorch: ${rejected.map((c) => `${c.origin} (${c.root}): ${c.rejected}`).join('; ')}`;
}
