/** Texts from files and errors, made fit for one line. */

/** The text without line ends and other control characters, cut after `most` characters. */
export function oneLineOf(text: string, most: number): string {
  const line = text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ').trim();
  return line.length > most ? `${line.slice(0, most)}…` : line;
}
