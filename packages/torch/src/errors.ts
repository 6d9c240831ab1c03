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
  const make = typeof code === 'string' ? CLASSES.get(code) : undefined;
  if (make === undefined) return fault;
  return new make(
    `${operator}: ${firstSentence(fault.message)}; called with ${describeArguments()}`,
    operator,
  );
}

/** In step with `Fault` in native/boundary.h. */
const CLASSES = new Map<string, new (message: string, operator: string) => TorchError>([
  ['TLS_TORCH', TorchError],
  ['TLS_ARGUMENT', ArgumentError],
  ['TLS_FREED', FreedTensorError],
]);

/** Where a backend lacks an operator, libtorch adds advice for its own developers and a list of some forty backends. */
function firstSentence(message: string): string {
  return message.replace(/(Could not run '[^']*' .*? backend\.)[\s\S]*/, '$1').trim();
}
