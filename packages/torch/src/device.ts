/** What this libtorch is and what it runs on. */
import type { BuildInfo } from './binding.js';
import { native } from './load.js';
import { guard } from './operator.js';

export type { BuildInfo } from './binding.js';

/** Version, BLAS, thread pools and build options of the loaded libtorch. */
export function buildInfo(): BuildInfo {
  return native().buildInfo();
}

export function isCudaAvailable(): boolean {
  return native().hasCuda() && native().cudaDeviceCount() > 0;
}

export function cudaDeviceCount(): number {
  return native().cudaDeviceCount();
}

/** Waits until the GPU has done all that was queued. */
export function synchronize(): void {
  guard('synchronize', [], () => native().synchronize());
}

export function getNumThreads(): number {
  return native().threads();
}

/** Threads inside one operator (libtorch's own and, through OpenMP, its BLAS's). */
export function setNumThreads(count: number): void {
  guard('setNumThreads', [count], () => native().setThreads(count));
}

/** Makes operators without a deterministic form fail instead of varying from run to run. */
export function useDeterministicAlgorithms(enabled: boolean): void {
  guard('useDeterministicAlgorithms', [enabled], () => native().setDeterministic(enabled));
}
