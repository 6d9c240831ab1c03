/** The parts that pictures come in, and what folders and files of them are called. */

/** `all` where they are not divided. */
export const imageParts = ['train', 'valid', 'test', 'all'] as const;
export type ImagePart = (typeof imageParts)[number];

const partNames: Readonly<Record<string, ImagePart>> = {
  train: 'train',
  training: 'train',
  val: 'valid',
  valid: 'valid',
  validation: 'valid',
  dev: 'valid',
  test: 'test',
  testing: 'test',
};

/** The part that a word means. */
export function partOf(word: string): ImagePart | undefined {
  const name = word.toLowerCase();
  return Object.hasOwn(partNames, name) ? partNames[name] : undefined;
}

/** The word of a name that means a part: `train` of `cifar10-jpeg.train.tar.gz`. */
export function partWord(name: string): string | undefined {
  return name.split(/[._-]/).find((word) => partOf(word) !== undefined);
}

/** Folders are parts where at least two are called so, or the only one: among others, a train is a thing on rails. */
export function dividesIntoParts(folders: readonly string[]): boolean {
  const named = folders.filter((folder) => partOf(folder) !== undefined).length;
  return named >= 2 || (named === 1 && folders.length === 1);
}
