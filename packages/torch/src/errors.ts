/** What can go wrong, as a small closed set of classes. */

/** libtorch refused an operation. The message names the operator and the shapes and dtypes that came in. */
export class TorchError extends Error {
  override name = 'TorchError';
  constructor(
    message: string,
    readonly operator: string | null = null,
  ) {
    super(message);
  }
}

/** An argument has the wrong type or form; nothing was run. */
export class ArgumentError extends TorchError {
  override name = 'ArgumentError';
}

/** A tensor was used after it was freed (by `dispose` or at the end of its scope). */
export class FreedTensorError extends TorchError {
  override name = 'FreedTensorError';
}

/** The native bridge or libtorch could not be loaded; the message says what was tried and what mends it. */
export class NativeLoadError extends Error {
  override name = 'NativeLoadError';
}

interface NativeFault extends Error {
  code?: unknown;
}

/**
 * The typed error for a fault raised by the bridge; anything else is given back unchanged.
 * Made here, in JavaScript, so that its stack is the caller's.
 */
export function translateFault(fault: unknown, operator: string, describeArguments: () => string): unknown {
  if (!(fault instanceof Error)) return fault;
  const code = (fault as NativeFault).code;
  if (code === 'TLS_TORCH')
    return new TorchError(`${operator}: ${fault.message}\n  called with ${describeArguments()}`, operator);
  if (code === 'TLS_ARGUMENT')
    return new ArgumentError(`${operator}: ${fault.message}; called with ${describeArguments()}`, operator);
  if (code === 'TLS_FREED')
    return new FreedTensorError(
      `${operator}: ${fault.message}; called with ${describeArguments()}`,
      operator,
    );
  return fault;
}
