/** ONNX Runtime behind the few things that models need of it, the same in Node and in the browser. */
import type { InferenceSession, Tensor } from 'onnxruntime-common';

export type { Tensor };

/** What `onnxruntime-node` and `onnxruntime-web` have in common. */
export interface Engine {
  readonly InferenceSession: {
    create(model: Uint8Array, options?: InferenceSession.SessionOptions): Promise<InferenceSession>;
  };
  readonly Tensor: new (type: Tensor.Type, data: Tensor.DataType, dims: readonly number[]) => Tensor;
}

/** `webgpu`: the graphics processor, where there is one. `wasm`, `cpu`: the processor, in the browser and in Node. */
export type Device = 'webgpu' | 'wasm' | 'cpu';

export interface EngineSettings {
  /** `auto`: `webgpu` in browsers that have it, else `wasm`; `cpu` in Node. */
  readonly device?: Device | 'auto';
  /** Default: in Node what the engine takes; in browsers half the cores, at most 4, where pages may have threads. */
  readonly threads?: number;
}

/** An engine, how it was set up, and what it could not do. */
export interface ReadyEngine {
  readonly engine: Engine;
  readonly device: Device;
  readonly session: InferenceSession.SessionOptions;
  /** For people: why it is slower than it could be. */
  readonly notes: readonly string[];
}

/** What runs in one place and not in another. */
export interface Platform {
  startEngine(settings: EngineSettings): Promise<ReadyEngine>;
  /** A reader of the files of a folder or of the folder of a URL. */
  filesAt(place: string | URL, signal: AbortSignal | undefined): FileReader;
}

export interface FileReader {
  /** For messages. */
  readonly place: string;
  /** The whole of a file; `onBytes` is told how many came. @throws RuntimeError where there is none, or more than `most` bytes */
  read(name: string, most: number, onBytes: (count: number) => void): Promise<Uint8Array>;
}
