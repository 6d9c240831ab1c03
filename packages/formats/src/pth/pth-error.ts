/** One code for each thing that can be wrong with a file of torch.save or a request. */
export type PthErrorCode =
  | 'not-pth'
  | 'old-tar'
  | 'torchscript'
  | 'short-read'
  | 'invalid-zip'
  | 'unsupported-zip'
  | 'missing-record'
  | 'checksum'
  | 'unsupported-version'
  | 'big-endian'
  | 'pickle'
  | 'invalid-storage'
  | 'invalid-tensor'
  | 'too-large'
  | 'ambiguous-path'
  | 'unsupported-tensor'
  | 'unknown-tensor';

/** A `.pth` file or request that is not as it must be; the message is one line. */
export class PthError extends Error {
  override readonly name = 'PthError';

  constructor(
    readonly code: PthErrorCode,
    message: string,
  ) {
    super(message);
  }
}
