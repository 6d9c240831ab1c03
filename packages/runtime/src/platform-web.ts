/** Browsers: onnxruntime-web on the graphics processor, on threads, or on one thread, whichever the page may use. */
import type { Engine, EngineSettings, Platform, ReadyEngine } from './engine.js';
import { RuntimeError } from './errors.js';
import { fetchFiles } from './fetch-files.js';

const MOST_THREADS = 4;
/** The engine's warnings, such as that sizes are computed by the processor, are no news for a page's console. */
const ERRORS = 3;

interface WebEngine extends Engine {
  readonly env: { readonly wasm: { numThreads?: number } };
}

/** What is used of WebGPU. `isFallbackAdapter`: the processor stands in for the graphics processor. */
interface Gpu {
  requestAdapter(): Promise<{ readonly info?: { readonly isFallbackAdapter?: boolean } } | null>;
}

export const platform: Platform = {
  startEngine,
  filesAt: fetchFiles,
};

async function startEngine({ device = 'auto', threads }: EngineSettings): Promise<ReadyEngine> {
  if (device === 'cpu')
    throw new RuntimeError('bad-input', 'device: expected auto, webgpu or wasm in browsers, received cpu');
  const notes: string[] = [];
  const hasGpu = device !== 'wasm' && (await gpuAnswers(device === 'webgpu'));
  if (device === 'webgpu' && !hasGpu)
    throw new RuntimeError('no-engine', "device: this browser has no WebGPU; load with device: 'wasm'");
  const engine = await webEngine(hasGpu);
  const wanted =
    threads ?? Math.min(MOST_THREADS, Math.max(1, Math.floor((navigator.hardwareConcurrency ?? 2) / 2)));
  // Beside a graphics processor the processor has only sizes to compute.
  const mayThread = globalThis.crossOriginIsolated === true && !hasGpu;
  if (!mayThread && !hasGpu && wanted > 1)
    notes.push(
      'one thread: the page is not cross-origin isolated (it needs the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp)',
    );
  engine.env.wasm.numThreads = mayThread ? wanted : 1;
  return {
    engine,
    device: hasGpu ? 'webgpu' : 'wasm',
    session: { executionProviders: hasGpu ? ['webgpu', 'wasm'] : ['wasm'], logSeverityLevel: ERRORS },
    notes,
  };
}

/** @param insisted whether one that is computed by the processor will do: slower than WebAssembly, but asked for */
async function gpuAnswers(insisted: boolean): Promise<boolean> {
  const { gpu } = navigator as { gpu?: Gpu };
  const adapter = await gpu?.requestAdapter().catch(() => null);
  if (adapter === null || adapter === undefined) return false;
  return insisted || adapter.info?.isFallbackAdapter !== true;
}

/** The build with WebGPU is twice as large, so it is loaded where it is of use. */
async function webEngine(withGpu: boolean): Promise<WebEngine> {
  try {
    const engine = withGpu ? import('onnxruntime-web/webgpu') : import('onnxruntime-web/wasm');
    return (await engine) as unknown as WebEngine;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new RuntimeError('no-engine', `onnxruntime-web cannot be loaded: ${reason}`, { cause: error });
  }
}
