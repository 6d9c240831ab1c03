/** ONNX Runtime behind the few things that models need of it, the same in Node and in the browser. */

export type TensorData = Float32Array | BigInt64Array | Uint8Array;

export interface Tensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: TensorData;
}

export type SessionInput =
  | { readonly name: string; readonly isTensor: false }
  | {
      readonly name: string;
      readonly isTensor: true;
      readonly type: string;
      /** Names stand for sizes that are free. */
      readonly shape: readonly (number | string)[];
    };

/** One graph that the engine has loaded. */
export interface Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  readonly inputMetadata: readonly SessionInput[];
  run(
    feeds: Readonly<Record<string, Tensor>>,
    wanted: readonly string[],
  ): Promise<Readonly<Record<string, Tensor>>>;
  release(): Promise<void>;
}

export type SessionOptions = Readonly<Record<string, unknown>>;

/** What `onnxruntime-node` and `onnxruntime-web` have in common. Their own types want those of a browser, in Node too. */
export interface Engine {
  readonly InferenceSession: {
    create(model: Uint8Array, options?: SessionOptions): Promise<Session>;
  };
  readonly Tensor: new (type: string, data: TensorData, dims: readonly number[]) => Tensor;
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
  readonly session: SessionOptions;
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
