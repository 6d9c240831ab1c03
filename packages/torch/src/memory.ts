/** How much native memory is in use. */
import { native } from './load.js';

export interface MemoryStats {
  /** Tensors that JavaScript holds: what a leak test watches. */
  liveTensors: number;
  /** Bytes that libtorch has allocated on the CPU now, autograd's saved tensors included. */
  allocatedBytes: number;
  /** Highest value of `allocatedBytes` since the start or the last `resetPeakMemory`. */
  peakAllocatedBytes: number;
  /** Bytes of physical memory of the whole process now. */
  residentBytes: number;
}

export function memoryStats(): MemoryStats {
  return { ...native().memoryStats(), residentBytes: process.memoryUsage.rss() };
}

export function resetPeakMemory(): void {
  native().resetPeakMemory();
}
