/** The package that reads and draws pictures: optional, so that everything else works without it. */
import { DataError, messageOf, oneLine } from '../data/errors.js';

type SharpPackage = typeof import('sharp')['default'];

/**
 * @param purpose what needs it, as the message begins: `pictures`
 * @throws DataError in one line where it is not installed
 */
export async function loadSharp(purpose: string): Promise<SharpPackage> {
  const { default: sharp } = await import('sharp').catch((error) => {
    throw new DataError(
      `${purpose} need the package sharp, which is not installed: run npm install sharp (${oneLine(messageOf(error))})`,
    );
  });
  // Many pictures are read at the same time, each once: threads within one and a memory of earlier ones only cost.
  sharp.concurrency(1);
  sharp.cache(false);
  return sharp;
}
