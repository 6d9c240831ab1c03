/** A file, or a folder of them, that was made to do harm, and what the program does with it. */
export interface Attack {
  readonly name: string;
  /** What it tries, for the README. */
  readonly tries: string;
  /** By path inside a folder of its own. */
  readonly files: () => Readonly<Record<string, Uint8Array | string>>;
  /** The command that meets it; `@` stands for the folder. */
  readonly command: readonly string[];
  /** What the one line of the refusal says. */
  readonly refusal: RegExp;
}

/** The bytes of an attack that is one file. */
export function file(name: string, content: () => Uint8Array | string): Attack['files'] {
  return () => ({ [name]: content() });
}
