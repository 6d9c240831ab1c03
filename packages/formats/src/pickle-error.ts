/** One code for each thing that can be wrong with a pickle. */
export type PickleErrorCode =
  | 'truncated'
  | 'unknown-opcode'
  | 'unsupported-opcode'
  | 'invalid-argument'
  | 'too-large'
  | 'stack'
  | 'memo'
  | 'wrong-type'
  | 'forbidden-global'
  | 'forbidden-call'
  | 'persistent-id';

/** A pickle that is not as it must be, or that asks for more than data; the message is one line. */
export class PickleError extends Error {
  override readonly name = 'PickleError';

  constructor(
    readonly code: PickleErrorCode,
    message: string,
  ) {
    super(message);
  }
}
