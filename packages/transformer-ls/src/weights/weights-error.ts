/** Weights that cannot be found or do not fit; the message is one line. */
export class WeightsError extends Error {
  override readonly name = 'WeightsError';
}
