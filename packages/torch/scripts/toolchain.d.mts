/** One libtorch and what is needed to compile and load against it. */
export interface LibtorchFindings {
  /** Folder with `include/` and the libraries; for a Python the `torch` package folder; for Debian `/usr`. */
  readonly root: string;
  readonly libDir: string;
  readonly includeDirs: readonly string[];
  /** Full paths of the libraries to link, the CUDA ones included where they are there. */
  readonly libraries: readonly string[];
  /** The Python that was asked, as it was named; null where none was. */
  readonly python: string | null;
  /** `1.13.0`, without the local suffix. */
  readonly version: string;
  /** Was it compiled with the current C++ ABI of libstdc++ (`_GLIBCXX_USE_CXX11_ABI`)? */
  readonly cxx11Abi: boolean;
  /** C++ standard that its headers demand; the bridge itself needs 17. */
  readonly cxxStandard: 17 | 20;
  /** CUDA version it was built for (`13.2`, or `unknown`), null for a CPU build. */
  readonly cuda: string | null;
  /** The OpenMP run-time that came with it, null where it uses the system's. */
  readonly openmp: string | null;
  readonly complete: boolean;
  /** Files that should be there and are not. */
  readonly missing: readonly string[];
  /** Why it cannot be used, in one line; null if it can. */
  readonly rejected: string | null;
}

export type LibtorchOrigin =
  | 'LIBTORCH'
  | 'TORCH_PYTHON'
  | 'VIRTUAL_ENV'
  | 'project venv'
  | 'Debian'
  | 'python3';

export interface LibtorchCandidate extends LibtorchFindings {
  readonly origin: LibtorchOrigin;
}

/** A candidate that was chosen. */
export type Libtorch = LibtorchCandidate;

export interface LibtorchSearch {
  readonly chosen: Libtorch | null;
  /** In the order they were looked at, the chosen one among them. */
  readonly candidates: LibtorchCandidate[];
}

/** Which of the two libtorchs that the set-up can install goes first. */
export type TorchPreference = 'pip' | 'debian';

export interface FindOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** Look at every place instead of stopping at the first usable one. */
  readonly all?: boolean;
  /** Folder that stands for `/` when looking for Debian's files. */
  readonly systemRoot?: string;
  readonly projectVenv?: string;
  readonly preference?: TorchPreference;
}

/** Stops at the first usable libtorch, in order of preference; see the source for the order. */
export function findLibtorch(options?: FindOptions): LibtorchSearch;
export function inspectLibtorch(root: string): LibtorchFindings;
export function explainNoLibtorch(candidates: readonly LibtorchCandidate[]): string;
/** Below 0 where `a` is the older. */
export function compareVersions(a: string, b: string): number;
export function multiarch(arch?: string): string | null;
export function readTorchPreference(): TorchPreference | null;
export const minimumTorch: string;
export const packageRoot: string;
/** The folder under which bridges are built: in a clone beside the sources, else in the user's cache. */
export const buildRoot: string;
/** What builds the bridge here: `npm run setup` in a clone, `npx transformer-ls build` where this package is installed. */
export const buildCommand: string;
export function isInstalled(folder?: string): boolean;
export function findBuildRoot(options?: {
  env?: NodeJS.ProcessEnv;
  folder?: string;
  version?: string;
  home?: string | null;
}): string;
export const torchPreferencePath: string;

export interface Tool {
  readonly found: boolean;
  readonly path: string | null;
  readonly version: string | null;
  /** What is wrong, null if nothing is. */
  readonly reason: string | null;
}

export interface CudaCompiler extends Tool {
  /** `libcudart_static.a`. */
  readonly runtime: string | null;
  readonly includeDir: string | null;
}

export interface Blas {
  /** `openblas`, `mkl`, `blis`, `atlas`, `reference`, or `bundled` inside libtorch. */
  readonly name: string;
  /** The resolved `libblas.so.3`; null where it is bundled. */
  readonly path: string | null;
  readonly slow: boolean;
}

export interface MachineDescription {
  readonly platform: string;
  readonly arch: string;
  readonly triplet: string | null;
  readonly cpu: string;
  readonly cores: number;
  readonly simd: readonly string[];
  readonly memoryBytes: number;
  readonly freeMemoryBytes: number;
  /** One line per NVIDIA GPU. */
  readonly gpus: readonly string[];
}

/** A Debian package that is missing. */
export interface MissingPackage {
  readonly name: string;
  readonly reason: string;
}

/** The programs that compile the bridge. */
export function missingTools(): MissingPackage[];
/** The same, and libtorch with its BLAS. */
export function missingForBuild(search: LibtorchSearch): MissingPackage[];
export function aptCommand(names: readonly string[]): string;
export function hasApt(): boolean;
/** A variable that names an unusable libtorch, in one line; null where there is none. */
export function findBrokenRequest(search: LibtorchSearch, env?: NodeJS.ProcessEnv): string | null;
/** A line for each thing that is missing, then the command that mends it; empty where the bridge can be built. */
export function explainMissing(
  search: LibtorchSearch,
  options?: { apt?: boolean; env?: NodeJS.ProcessEnv },
): string[];

export function findCompiler(env?: NodeJS.ProcessEnv): Tool;
export function findCmake(): Tool;
/** ninja, else make. */
export function findBuildProgram(): Tool;
export function findNvcc(libtorch: Pick<Libtorch, 'cuda'>, env?: NodeJS.ProcessEnv): CudaCompiler;
export function findBlas(libtorch: Pick<Libtorch, 'libDir'>): Blas;
export function describeMachine(): MachineDescription;

/** What `<key>/stamp.json` and `current.json` under `buildRoot` hold. */
export interface AddonStamp {
  readonly key: string;
  readonly path: string;
  readonly version: string;
  readonly cuda: string | null;
  /** The compiler of the CUDA kernels; null where they were left out. */
  readonly nvcc: string | null;
  readonly libtorch: Libtorch;
  readonly sourceHash: string;
  /** ISO 8601. */
  readonly builtAt: string;
}

export interface AddonChoice {
  /** The file to load; null where there is none, and `attempts` then says why and what to run. */
  readonly path: string | null;
  readonly key: string | null;
  readonly libtorch: Libtorch | null;
  readonly attempts: readonly string[];
}

export const napiVersion: number;
export const nativeRoot: string;
export function buildKey(libtorch: Pick<Libtorch, 'version' | 'cxx11Abi' | 'cuda'>): string;
export function addonPath(key: string, root?: string): string;
export function stampPath(key: string, root?: string): string;
export function currentPath(root?: string): string;
export function sourceHash(source?: string): string;
export function readStamp(path: string): AddonStamp | null;
export function isBuilt(libtorch: Libtorch, options?: { source?: string; root?: string }): boolean;
/** Makes a finished build the one that is loaded by default; did that change anything? */
export function selectAddon(libtorch: Libtorch, root?: string): boolean;
/** What the loader should load. Starts no process and reads a file or two: well under 5 ms. */
export function chooseAddon(options?: { env?: NodeJS.ProcessEnv; root?: string }): AddonChoice;

export interface BuildOptions {
  readonly libtorch: Libtorch;
  /** Folder with `*.cc` and `kernels/*.cpp`; default `native/`. */
  readonly source?: string;
  /** Where the build folders lie; default `buildRoot`. */
  readonly root?: string;
  readonly jobs?: number;
  readonly log?: (line: string) => void;
}

export interface BuildResult {
  readonly status: 'built' | 'current';
  readonly key: string;
  readonly path: string;
  readonly seconds: number;
}
