/** Training cannot go on; the message is one line. */
export class TrainingError extends Error {
  override readonly name = 'TrainingError';
}
