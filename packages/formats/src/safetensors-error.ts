/** One code for each thing that can be wrong with a file, a tensor to be written or a request. */
export type SafetensorsErrorCode =
  | 'file-too-small'
  | 'header-too-large'
  | 'header-beyond-file'
  | 'header-not-object'
  | 'header-not-utf8'
  | 'header-not-json'
  | 'duplicate-key'
  | 'invalid-name'
  | 'invalid-metadata'
  | 'invalid-entry'
  | 'unknown-dtype'
  | 'unsupported-dtype'
  | 'invalid-shape'
  | 'shape-overflow'
  | 'invalid-offsets'
  | 'not-contiguous'
  | 'data-not-covered'
  | 'size-mismatch'
  | 'unknown-tensor'
  | 'short-read';

/** A safetensors file, tensor or request that is not as it must be; the message is one line. */
export class SafetensorsError extends Error {
  override readonly name = 'SafetensorsError';

  constructor(
    readonly code: SafetensorsErrorCode,
    message: string,
  ) {
    super(message);
  }
}
