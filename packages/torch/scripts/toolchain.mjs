/** The package's `./toolchain` entry: finding libtorch and the tools, building the bridge, choosing what to load. */
export {
  addonPath,
  buildKey,
  chooseAddon,
  currentPath,
  isBuilt,
  napiVersion,
  nativeRoot,
  readStamp,
  selectAddon,
  sourceHash,
  stampPath,
} from './addon.mjs';
export {
  compareVersions,
  explainNoLibtorch,
  findLibtorch,
  inspectLibtorch,
  minimumTorch,
  multiarch,
  readTorchPreference,
  torchPreferencePath,
} from './libtorch.mjs';
export {
  describeMachine,
  findBlas,
  findBuildProgram,
  findCmake,
  findCompiler,
  findNvcc,
} from './machine.mjs';
export { buildCommand, buildRoot, findBuildRoot, isInstalled, packageRoot } from './place.mjs';
export {
  aptCommand,
  explainMissing,
  findBrokenRequest,
  hasApt,
  missingForBuild,
  missingTools,
} from './prerequisites.mjs';
