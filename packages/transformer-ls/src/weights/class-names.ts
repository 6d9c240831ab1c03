/** Names of classes beside weights: a file with a line a class, in the order of the labels. */

import { dirname, join } from 'node:path';
import type { ModelPlace } from './model-place.js';
import { textOrNothing } from './model-place.js';
import { WeightsError } from './weights-error.js';

export const CLASSES_NAME = 'classes.txt';

export interface ClassName {
  /** What tells the class apart in every copy of the data, such as `n01440764`: the name where it has no other. */
  readonly id: string;
  /** For people. */
  readonly name: string;
}

/** `id<TAB>name` lines; a name alone where it is its own identifier. */
export function classNamesText(classes: readonly ClassName[]): string {
  return classes
    .map(({ id, name }) => `${id === name ? plain(id) : `${plain(id)}\t${plain(name)}`}\n`)
    .join('');
}

/** Nothing in a name may end its field. */
function plain(text: string): string {
  return text.replace(/[\t\r\n]+/g, ' ');
}

export function parseClassNames(text: string): ClassName[] {
  return text
    .replace(/\n$/, '')
    .split('\n')
    .map((line) => {
      const [id, name] = line.replace(/\r$/, '').split('\t');
      return { id: id!, name: name ?? id! };
    });
}

/**
 * The names that are kept beside the weights or in their run; undefined where there are none.
 *
 * @throws WeightsError where there are, but not as many as the model has classes
 */
export async function classNamesOf(
  { weightsPath, run }: Pick<ModelPlace, 'weightsPath' | 'run'>,
  count: number,
): Promise<readonly ClassName[] | undefined> {
  for (const folder of [dirname(weightsPath), ...(run === undefined ? [] : [run])]) {
    const path = join(folder, CLASSES_NAME);
    const text = await textOrNothing(path);
    if (text === undefined) continue;
    const classes = parseClassNames(text);
    if (classes.length === count) return classes;
    throw new WeightsError(
      `${path}: expected ${count} lines, one for each class, received ${classes.length}`,
    );
  }
  return undefined;
}

/** Numbers, where no names are kept. */
export function numberedClasses(count: number): ClassName[] {
  return Array.from({ length: count }, (_, label) => ({ id: String(label), name: String(label) }));
}
