/** `transformer-ls images`: what a folder or archive of labelled pictures holds. */
import { basename } from 'node:path';
import { Command, Option } from 'commander';
import { type AugmentationName, augmentationNames } from '../images/augment/presets.js';
import { checkImages, type ImageCheck, type Spread } from '../images/check-images.js';
import { findImages } from '../images/find-source.js';
import { type ImagePart, imageParts } from '../images/image-parts.js';
import type { ImageSet } from '../images/image-set.js';
import { HELD_OUT } from '../images/part-source.js';
import { type ImageSource, openImageSet } from '../images/sources.js';
import { formatInteger } from '../text/numbers.js';
import { wholeNumber } from './flags.js';
import { drawSheet } from './image-sheet.js';
import { StatusLine } from './status-line.js';

const HELP = `
Places:
  a folder with train and val (and test), each with a folder of pictures a class
  a folder with a folder of pictures a class
  .tar, .tar.gz, .zip or .parquet files of them, also one a part: train.zip and val.zip
  pictures with a list of labels: train.zip with train_map.txt, val/ with val.txt
  cifar-10-binary.tar.gz, cifar-100-python.tar.gz and the like, or what they unpack to

Examples:
  transformer-ls images ../shared/data/tiny-imagenet
  transformer-ls images photos/ --check
  transformer-ls images imagenet/ --json
  transformer-ls images photos/ --contact-sheet sheet.png --augmentation light --size 64`;

/** Bad pictures that are shown; --json names more. */
const MOST_SHOWN = 20;
/** Classes that are shown. */
const CLASSES_SHOWN = 10;

interface ImagesFlags {
  readonly check?: boolean;
  readonly json?: boolean;
  readonly contactSheet?: string;
  readonly augmentation: AugmentationName;
  readonly seed: number;
  readonly size: number;
  readonly pictures: number;
}

/** A part as it was found. */
interface PartReport {
  readonly part: ImagePart;
  readonly from: ImageSource['from'];
  readonly pictures: number;
  /** Of the classes that have any. */
  readonly picturesOfClass: { readonly least: number; readonly most: number };
  readonly classesWithPictures: number;
  readonly fingerprint: string;
  readonly check?: ImageCheck;
}

interface PlaceReport {
  readonly place: string;
  readonly parts: readonly PartReport[];
  /** By label. */
  readonly classes: readonly { readonly id: string; readonly name: string }[];
}

export function imagesCommand(): Command {
  return new Command('images')
    .description('Show parts, classes and numbers of labelled pictures; with --check read every one of them.')
    .argument('<place>', 'folder or file with pictures')
    .option('--check', 'decode every picture, count the bad ones and say what is wrong with them')
    .option('--json', 'print JSON')
    .option('--contact-sheet <file>', '.svg or .png to draw of what training makes of some pictures')
    .addOption(
      new Option('--augmentation <name>', 'what training does to them')
        .choices(augmentationNames)
        .default('published'),
    )
    .option('--size <n>', 'pixels a side that the network sees', wholeNumber({ min: 8, max: 1024 }), 224)
    .option('--pictures <n>', 'pictures on the sheet', wholeNumber({ min: 1, max: 32 }), 6)
    .option('--seed <n>', 'which pictures, and what is drawn for them', wholeNumber({ min: 0 }), 0)
    .addHelpText('after', HELP)
    .action(async (place: string, flags: ImagesFlags) => {
      const { check = false, json = false, contactSheet } = flags;
      if (contactSheet !== undefined) {
        process.stdout.write(`${await drawSheet(place, contactSheet, flags)}\n`);
        return;
      }
      const report = await inspectPlace(place, check);
      process.stdout.write(json ? `${JSON.stringify(report, null, 2)}\n` : described(report));
    });
}

async function inspectPlace(place: string, check: boolean): Promise<PlaceReport> {
  const found = await findImages(place);
  const parts: PartReport[] = [];
  let classes: PlaceReport['classes'] = [];
  for (const part of imageParts) {
    const source = found[part];
    if (source === undefined) continue;
    // The first part, that for training where there is one, decides on the classes.
    const classIds = classes.map(({ id }) => id);
    const set = await openImageSet(parts.length === 0 ? source : { ...source, classIds });
    try {
      if (parts.length === 0) classes = set.classIds.map((id, label) => ({ id, name: set.classes[label]! }));
      parts.push(await partReport(part, source, set, check));
    } finally {
      await set.close();
    }
  }
  return { place, parts, classes };
}

async function partReport(
  part: ImagePart,
  { from }: ImageSource,
  set: ImageSet,
  check: boolean,
): Promise<PartReport> {
  const counts = new Int32Array(set.classes.length);
  for (const label of set.labels) counts[label]! += 1;
  const present = counts.filter((count) => count > 0).sort();
  return {
    part,
    from,
    pictures: set.labels.length,
    picturesOfClass: { least: present[0] ?? 0, most: present.at(-1) ?? 0 },
    classesWithPictures: present.length,
    fingerprint: set.fingerprint,
    ...(check ? { check: await checked(set) } : {}),
  };
}

async function checked(set: ImageSet): Promise<ImageCheck> {
  const status = new StatusLine(process.stderr);
  try {
    return await checkImages(set, {
      onProgress: (done, total, bad) =>
        status.show(
          `${set.name}: ${formatInteger(done)} of ${formatInteger(total)} pictures, ${formatInteger(bad)} bad`,
        ),
    });
  } finally {
    status.clear();
  }
}

/** For people. */
function described({ place, parts, classes }: PlaceReport): string {
  const names = classes
    .slice(0, CLASSES_SHOWN)
    .map(({ id, name }) => (id === name ? name : `${name} (${id})`));
  const more = classes.length - names.length;
  const lines = [
    place,
    ...parts.flatMap(partLines),
    row(
      'classes',
      `${formatInteger(classes.length)}: ${names.join('; ')}${more > 0 ? `; and ${formatInteger(more)} more` : ''}`,
    ),
    ...(parts.some(({ part }) => part === 'valid')
      ? []
      : [row('', `no validation part: training holds out 1 picture of ${HELD_OUT.every} for it`)]),
  ];
  return `${lines.map(withoutControls).join('\n')}\n`;
}

function partLines({
  part,
  from,
  pictures,
  picturesOfClass,
  classesWithPictures,
  check,
}: PartReport): string[] {
  const { least, most } = picturesOfClass;
  const each = least === most ? formatInteger(least) : `${formatInteger(least)} to ${formatInteger(most)}`;
  const summary = `${counted(pictures, 'picture', 'pictures')} of ${counted(classesWithPictures, 'class', 'classes')}, ${each} a class`;
  const lines = [row(part, `${summary}, from ${origin(from)}`)];
  if (check === undefined) return lines;
  const size = `${spreadText(check.width)} x ${spreadText(check.height)} pixels`;
  const shown = check.badPictures.slice(0, MOST_SHOWN);
  const more = check.bad - shown.length;
  return [
    ...lines,
    row(
      '',
      `checked: ${check.bad === 0 ? 'all can be read' : `${formatInteger(check.bad)} cannot be read`}; ${size}`,
    ),
    ...shown.map(({ problem }) => row('', `bad: ${problem}`)),
    ...(more > 0 ? [row('', `and ${formatInteger(more)} more`)] : []),
  ];
}

function counted(count: number, one: string, many: string): string {
  return `${formatInteger(count)} ${count === 1 ? one : many}`;
}

function row(name: string, value: string): string {
  return `  ${name.padEnd(8)} ${value}`;
}

/** `64`, or `237 to 964 (median 468)`. */
function spreadText({ least, median, most }: Spread): string {
  return least === most ? String(least) : `${least} to ${most} (median ${median})`;
}

function origin(from: ImageSource['from']): string {
  switch (from.kind) {
    case 'parquet':
      return `${from.paths.length} parquet file(s)`;
    case 'cifar':
    case 'cifar-strips':
      return basename(from.path);
    default:
      return `${basename(from.path)}${from.list === undefined ? ', a folder a class' : ` with ${basename(from.list)}`}`;
  }
}

/** Names come from files: nothing in them may move a cursor. */
function withoutControls(line: string): string {
  return line.replace(/\p{Cc}+/gu, ' ');
}
