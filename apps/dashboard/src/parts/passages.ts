/** Passages of a document, and what each of them does to a result. */

const MOST_PASSAGES = 40;
/** Shorter sentences are joined to the next. */
const LEAST_CHARACTERS = 20;

/** Sentences, or several of them together where there are many; joined they are the text. */
export function passagesOf(text: string): string[] {
  const sentences = text.match(/[^.!?\n]*[.!?\n]+["')\]]*\s*|[^.!?\n]+$/g) ?? [text];
  const least = Math.max(LEAST_CHARACTERS, Math.ceil(text.length / MOST_PASSAGES));
  const passages: string[] = [];
  for (const sentence of sentences) {
    const last = passages.at(-1);
    if (last !== undefined && last.length < least) passages[passages.length - 1] = last + sentence;
    else passages.push(sentence);
  }
  return passages;
}

/**
 * How far a share falls when a passage is missing: positive where it speaks for the result.
 *
 * @param whole the share of the whole text
 * @param shareOf the share of another text
 */
export async function passageInfluence(
  passages: readonly string[],
  whole: number,
  shareOf: (text: string) => Promise<number>,
): Promise<number[]> {
  const changes: number[] = [];
  for (const i of passages.keys()) {
    const rest = passages.filter((_, other) => other !== i).join('');
    changes.push(rest.trim() === '' ? 0 : whole - (await shareOf(rest)));
  }
  return changes;
}
