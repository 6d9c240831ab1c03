/** What is written for a token, so that every token can be seen: white space, control bytes and pieces of characters too. */

/** Bytes of text: one label a byte. A character of several bytes stands at its first; the others are empty. */
export function byteLabels(bytes: Uint8Array): string[] {
  const labels: string[] = [];
  while (labels.length < bytes.length) {
    const at = labels.length;
    const length = characterLength(bytes, at);
    const character = length === 0 ? NOT_TEXT : decoder.decode(bytes.subarray(at, at + length));
    labels.push(visible(character), ...Array<string>(Math.max(0, length - 1)).fill(''));
  }
  return labels;
}

/** Whether a label stands for something that cannot be seen, and should not look like text. */
export function isSubstitute(label: string): boolean {
  return SUBSTITUTES.includes(label) || /^[\u2400-\u2421]$/.test(label);
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const strict = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });
const [SPACE, TAB, LINE_END, RETURN, NOT_TEXT, BLANK] = ['·', '→', '↵', '←', '�', '▫'];
const SUBSTITUTES = [SPACE, TAB, LINE_END, RETURN, NOT_TEXT, BLANK];

/** Bytes of the UTF-8 character at a place; 0 where there is none. */
function characterLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at]!;
  if (first < 0x80) return 1;
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  try {
    return [...strict.decode(bytes.subarray(at, at + length))].length === 1 ? length : 0;
  } catch {
    return 0;
  }
}

function visible(character: string): string {
  if (character === ' ') return SPACE!;
  if (character === '\t') return TAB!;
  if (character === '\n') return LINE_END!;
  if (character === '\r') return RETURN!;
  const code = character.codePointAt(0)!;
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  if (code === 0x7f) return '\u2421';
  // Marks that would be drawn on their neighbours, and what has no shape.
  return /^[\p{M}\p{C}\p{Z}]/u.test(character) ? BLANK! : character;
}
