/** The exact list of what the native add-on exports (`native/*.cc`), types only. Handles are indices into its table. */

export interface NativeArgument {
  name: string;
  type: string;
  hasDefault: boolean;
  keywordOnly: boolean;
}

export interface NativeSchema {
  text: string;
  parameters: NativeArgument[];
  returns: NativeArgument[];
  inPlace: boolean;
}

export interface BuildInfo {
  /** libtorch's version, e.g. "1.13.0". */
  version: string;
  /** libtorch's own description of how it was built. */
  config: string;
  /** libtorch's description of its thread pools. */
  parallel: string;
  /** OpenBLAS's description of itself, null where libtorch calls another BLAS. */
  openblas: string | null;
}

export interface NativeMemoryStats {
  liveTensors: number;
  allocatedBytes: number;
  peakAllocatedBytes: number;
  cachedBytes: number;
}

type Handle = number;
type Bytes = ArrayBufferView | ArrayBufferLike;

export interface Binding {
  // dispatch.cc
  call(operator: number, ...values: unknown[]): unknown;
  findOperator(name: string, overload: string): number;
  operatorSchema(operator: number): NativeSchema;
  operatorNames(): string[];
  loadLibrary(path: string): void;
  // tensor.cc
  fromBytes(bytes: Bytes, dtype: number, shape: readonly number[]): Handle;
  copyTo(tensor: Handle, bytes: Bytes): void;
  share(tensor: Handle): ArrayBuffer;
  shape(tensor: Handle): number[];
  strides(tensor: Handle): number[];
  dtype(tensor: Handle): number;
  device(tensor: Handle): string;
  isContiguous(tensor: Handle): boolean;
  bytes(tensor: Handle): number;
  item(tensor: Handle): number | bigint | boolean;
  free(tensor: Handle): void;
  freeMany(handles: Int32Array, count: number): void;
  // autograd.cc
  backward(outputs: Handle[], gradients: Handle[] | null, retainGraph: boolean, createGraph: boolean): void;
  gradients(
    outputs: Handle[],
    inputs: Handle[],
    gradients: Handle[] | null,
    retainGraph: boolean,
    createGraph: boolean,
    allowUnused: boolean,
  ): Handle[];
  requiresGrad(tensor: Handle): boolean;
  setRequiresGrad(tensor: Handle, value: boolean): void;
  isLeaf(tensor: Handle): boolean;
  grad(tensor: Handle): Handle;
  setGrad(tensor: Handle, gradient: Handle | null): void;
  gradEnabled(): boolean;
  setGradEnabled(enabled: boolean): void;
  autocast(deviceType: string): { enabled: boolean; dtype: number };
  setAutocast(deviceType: string, enabled: boolean, dtype: number): void;
  // random.cc
  manualSeed(seed: number | bigint): void;
  rngState(device: string): Handle;
  setRngState(device: string, state: Handle): void;
  // device.cc
  buildInfo(): BuildInfo;
  hasCuda(): boolean;
  cudaDeviceCount(): number;
  synchronize(): void;
  threads(): number;
  setThreads(count: number): void;
  setDeterministic(enabled: boolean): void;
  // memory.cc
  memoryStats(): NativeMemoryStats;
  resetPeakMemory(): void;
  releaseCachedMemory(): void;
  adjustExternalMemory(bytes: number): number;
}

/** What the add-on exports besides where libtorch was built with c10d. Stores, groups and operations under way are numbers. */
export interface DistributedBinding {
  // distributed.cc
  openTcpStore(host: string, port: number, isServer: boolean, onLoopback: boolean, timeout: number): number;
  openFileStore(path: string, world: number): number;
  prefixStore(store: number, prefix: string): number;
  storeSet(store: number, key: string, text: string): void;
  storeGet(store: number, key: string): string | null;
  closeStore(store: number): void;
  openGroup(
    backend: string,
    store: number,
    rank: number,
    world: number,
    timeout: number,
    address: string,
    interfaces: readonly string[],
  ): number;
  closeGroup(group: number): void;
  broadcast(group: number, tensor: Handle, root: number): number;
  allReduce(group: number, tensor: Handle): number;
  allGather(group: number, outputs: Handle[], input: Handle): number;
  send(group: number, tensor: Handle, to: number, tag: number): number;
  receive(group: number, tensor: Handle, from: number, tag: number): number;
  barrier(group: number): number;
  isDone(work: number): boolean;
  waitFor(work: number, timeout: number): void;
  backends(): { gloo: boolean; nccl: boolean };
  // gradient_buckets.cc
  openBuckets(group: number, parameters: Handle[], bytes: number): number;
  beginBuckets(id: number, early: boolean): void;
  finishBuckets(id: number): { buckets: number; early: number };
  closeBuckets(id: number): void;
}
