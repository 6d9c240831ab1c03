/** Why a model cannot be loaded or run. */
export type RuntimeErrorCode =
  /** No engine is installed, or it cannot start here. */
  | 'no-engine'
  /** A file is not where it should be, or cannot be read. */
  | 'not-found'
  /** A file is not what the manifest says, or the manifest is not one. */
  | 'damaged'
  /** The model is of another kind than was asked for. */
  | 'wrong-kind'
  /** A setting or an input is out of range. */
  | 'bad-input'
  /** The engine failed while it computed. */
  | 'failed'
  | 'out-of-memory'
  /** The graphics processor went away. */
  | 'device-lost'
  | 'disposed';

/** The message is one line. */
export class RuntimeError extends Error {
  override readonly name = 'RuntimeError';

  constructor(
    readonly code: RuntimeErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** What an engine threw, told apart by what users can do about it. */
export function engineError(doing: string, error: unknown): RuntimeError {
  if (error instanceof RuntimeError) return error;
  const [message] = String(error instanceof Error ? error.message : error).split('\n');
  const said = `${doing}: ${message}`;
  const options = { cause: error };
  if (/out of memory|bad_alloc|allocation failed|memory access out of bounds|cannot grow/i.test(said))
    return new RuntimeError('out-of-memory', `${doing}: there is not enough memory (${message})`, options);
  if (/device.*lost|lost.*device|GPUDevice/i.test(said))
    return new RuntimeError(
      'device-lost',
      `${doing}: the graphics device was lost; load the model again, or with device: 'wasm' (${message})`,
      options,
    );
  return new RuntimeError('failed', said, options);
}
