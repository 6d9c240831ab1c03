/** A model cannot be exported; the message is one line. */
export class ExportError extends Error {
  override readonly name = 'ExportError';
}
