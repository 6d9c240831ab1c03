/**
 * Labels from a list beside the pictures: lines of a name and a label, with a tab or blanks between, more after a tab being passed
 * over. Labels are numbers of classes or their identifiers. This reads:
 * - `train_map.txt` of zipped ImageNet, `train.zip@/n01440764/n01440764_18.JPEG<TAB>0` (what stands before the @ is the archive),
 * - lists of ImageNet's validation pictures, `ILSVRC2012_val_00000001.JPEG n01751748`,
 * - `val_annotations.txt` of Tiny ImageNet, `val_0.JPEG<TAB>n03444034<TAB>0<TAB>32<TAB>44<TAB>62`.
 */
import { basename } from 'node:path';
import { DataError, oneLine } from '../data/errors.js';
import { linesOf } from '../data/lines.js';
import { type LabelledPictures, MOST_CLASSES } from './class-folders.js';
import { MOST_PICTURES } from './picture-files.js';

/** A line of a list that names a picture. */
interface ListedPicture {
  readonly file: number;
  readonly label: string;
  readonly line: number;
}

/**
 * Pictures that the list does not name are passed over, as in the published reader.
 * @param known identifiers of the classes by label, where they are known
 * @throws DataError where the list names pictures that are not there, one with two labels, or a label that is none of the classes
 */
export async function listedLabels(
  path: string,
  place: string,
  names: readonly string[],
  known: readonly string[] | undefined,
): Promise<LabelledPictures> {
  const listed = await listedPictures(path, place, names);
  if (listed.length === 0) throw new DataError(`${path}: names no pictures`);
  const classIds = known ?? classesOf(path, listed, names);
  const numbers = new Map(classIds.map((id, label) => [id, label]));
  return {
    files: Uint32Array.from(listed, ({ file }) => file),
    labels: Int32Array.from(listed, ({ label, line }) => {
      const number = numbers.get(label) ?? (/^\d{1,6}$/.test(label) ? Number(label) : -1);
      if (number >= 0 && number < classIds.length) return number;
      throw new DataError(
        `${path}: line ${line}: expected a class from 0 to ${classIds.length - 1} or an identifier such as ${classIds[0]}, received ${oneLine(label)}`,
      );
    }),
    classIds,
    inside: '',
  };
}

/** In the order of the files, each once. */
async function listedPictures(
  path: string,
  place: string,
  names: readonly string[],
): Promise<ListedPicture[]> {
  const find = finder(names);
  const listed = new Map<number, ListedPicture>();
  let missing = 0;
  let firstMissing = '';
  let line = 0;
  for await (const bytes of linesOf(path)) {
    line += 1;
    if (line > MOST_PICTURES) throw new DataError(`${path}: has more than ${MOST_PICTURES} lines`);
    const text = Buffer.from(bytes).toString('utf8').trim();
    if (text === '') continue;
    const [name, label] = fields(text);
    if (label === undefined)
      throw new DataError(`${path}: line ${line}: expected the name of a picture and its class`);
    const file = find(name);
    if (file === undefined) {
      missing += 1;
      firstMissing ||= `line ${line}: ${oneLine(name)}`;
    } else if ((listed.get(file)?.label ?? label) !== label)
      throw new DataError(
        `${path}: line ${line}: gives ${oneLine(name)} another class than line ${listed.get(file)!.line}`,
      );
    else listed.set(file, { file, label, line });
  }
  if (missing > 0)
    throw new DataError(
      `${path}: names ${missing} picture(s) that are not in ${place}, the first in ${firstMissing}`,
    );
  return [...listed.values()].sort((a, b) => a.file - b.file);
}

function fields(line: string): [name: string, label: string | undefined] {
  if (line.includes('\t')) {
    const [name, label] = line.split('\t').filter((field) => field !== '');
    return [name!, label?.trim()];
  }
  const [, name, label] = /^(.*\S)\s+(\S+)$/.exec(line) ?? [];
  return [name ?? line, label];
}

/** Looks a name of a list up: as a whole, behind the name of an archive, or, where that is certain, without its folders. */
function finder(names: readonly string[]): (name: string) => number | undefined {
  const whole = new Map(names.map((name, file) => [name, file]));
  const short = new Map<string, number | undefined>();
  for (const [file, name] of names.entries()) {
    const base = basename(name);
    short.set(base, short.has(base) ? undefined : file);
  }
  return (name) => {
    for (const candidate of [name, name.slice(name.indexOf('@') + 1)]) {
      const inner = candidate.replace(/^(?:\.?\/)+/, '');
      const file = whole.get(inner) ?? (inner.includes('/') ? undefined : short.get(inner));
      if (file !== undefined) return file;
    }
    return undefined;
  };
}

/** Classes of a list that stands alone: its identifiers in their order, or the numbers up to the highest. */
function classesOf(
  path: string,
  listed: readonly ListedPicture[],
  names: readonly string[],
): readonly string[] {
  const labels = new Set(listed.map(({ label }) => label));
  if (![...labels].every((label) => /^\d+$/.test(label))) {
    if (labels.size > MOST_CLASSES) throw new DataError(`${path}: has more than ${MOST_CLASSES} classes`);
    return [...labels].sort();
  }
  const highest = [...labels].reduce((most, label) => Math.max(most, Number(label)), 0);
  if (highest >= MOST_CLASSES)
    throw new DataError(`${path}: has a class ${highest}, expected at most ${MOST_CLASSES - 1}`);
  return (
    classFoldersOf(listed, names, highest + 1) ?? Array.from({ length: highest + 1 }, (_, i) => String(i))
  );
}

/** Where the pictures of each numbered class lie in a folder of its own, as in zipped ImageNet, the folders tell the classes apart. */
function classFoldersOf(
  listed: readonly ListedPicture[],
  names: readonly string[],
  count: number,
): readonly string[] | undefined {
  const folders = new Map<number, string>();
  for (const { file, label } of listed) {
    const folder = names[file]!.split('/').at(-2);
    if (folder === undefined || (folders.get(Number(label)) ?? folder) !== folder) return undefined;
    folders.set(Number(label), folder);
  }
  const ids = Array.from({ length: count }, (_, label) => folders.get(label) ?? String(label));
  return new Set(ids).size === count ? ids : undefined;
}
