/** How much native memory is in use. */
import { native } from './load.js';

export interface MemoryStats {
  /** Tensors that JavaScript holds: what a leak test watches. */
  liveTensors: number;
  /** Bytes that libtorch has allocated on the CPU now, autograd's saved tensors included. */
  allocatedBytes: number;
  /** Highest value of `allocatedBytes` since the start or the last `resetPeakMemory`. */
  peakAllocatedBytes: number;
  /** Bytes of freed tensors on the CPU that wait for tensors of their size; see `releaseCachedMemory`. */
  cachedBytes: number;
  /** Bytes of physical memory of the whole process now. */
  residentBytes: number;
}

export function memoryStats(): MemoryStats {
  return { ...native().memoryStats(), residentBytes: process.memoryUsage.rss() };
}

export function resetPeakMemory(): void {
  native().resetPeakMemory();
}

/**
 * Gives the memory of freed CPU tensors back to the system. Large blocks are kept for the next tensor of their size, all together
 * at most 1/16 and 8 MiB more than was in use at once: after a peak that will not come again this ends that.
 */
export function releaseCachedMemory(): void {
  native().releaseCachedMemory();
}
