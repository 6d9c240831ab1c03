/** The sets of Long Range Arena: what each is, where its raw files come from, and how they become examples. */
import { existsSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { closestName, listOpsVocabulary, withoutBrackets } from '@transformer-ls/formats';
import { DataError } from '../data/errors.js';
import { Random } from '../data/random.js';
import { cifar10Classes } from '../images/cifar-batches.js';
import { cifar10Expects, cifar10Standing, readCifar10 } from './cifar10.js';
import { type ExampleSetDescription, type ExampleSetWriter, type Split, splits } from './example-set.js';
import { drawExamples } from './generate.js';
import type { GeneratorName } from './generators.js';
import { CIFAR_PIXELS, type GreyExample } from './grey-images.js';
import { readIdx } from './idx.js';
import { listOpsOfTable } from './listops-table.js';
import { HARD_PATHFINDER, pathfinderFolder, picturesOfFolder } from './pathfinder-folder.js';
import type { pathfinderShapes } from './pathfinder-shapes.js';
import { pairsOfIds, pairsOfTable, readDocuments } from './retrieval.js';
import { type Review, reviewsOfArchive, reviewsOfFolder, reviewsOfTable } from './reviews.js';

/** What a set is made from. */
export interface SetSource {
  /** File or folder of raw data; undefined where there is none. */
  readonly from: string | undefined;
  /** Of generated examples, and of what is held out. */
  readonly seed: number;
  /** Examples to generate for training; null: as many as published. */
  readonly examples: number | null;
  /** That generate, at most. */
  readonly threads: number;
  /** Called between examples: reports, and throws to stop. */
  readonly tick: (done: number, total: number | undefined) => void;
}

/** What data are beside the published ones. */
export interface SetStanding {
  /** What results are called; null: the name of the set. */
  readonly reportAs: string | null;
  /** What they must not be taken for; empty where there is nothing to say. */
  readonly caution: string;
}

/** The published data. */
const asPublished: SetStanding = { reportAs: null, caution: '' };

export interface SetDefinition {
  readonly name: string;
  /** One line for a list. */
  readonly title: string;
  readonly description: Pick<ExampleSetDescription, 'inputs' | 'classes' | 'vocabulary' | 'validFrom'>;
  /** Tokens of a document that are used, and that the published models are made for. */
  readonly documentLength: number;
  readonly maxLength: number;
  /** Whether it can be made without raw data. */
  readonly generated: boolean;
  /** What `from` must be. */
  readonly expects: string;
  /** How results on data of this source may be reported. */
  standing(source: SetSource): SetStanding | Promise<SetStanding>;
  fill(writer: ExampleSetWriter, source: SetSource): Promise<void>;
}

/** Generated examples of a part, in order. */
function drawn(name: GeneratorName, { seed, threads }: SetSource, split: Split, count: number) {
  return drawExamples({ name, seed, split, first: 0, count }, threads);
}

const digits = Array.from('0123456789');

const listOps = (brackets: boolean): SetDefinition => ({
  name: brackets ? 'listops-brackets' : 'listops',
  title: brackets
    ? 'listops-brackets: ListOps with the brackets that say where a list ends'
    : 'listops: nested operations on digits, without brackets as the published pipeline reads them',
  description: { inputs: 'one', classes: digits, vocabulary: [...listOpsVocabulary], validFrom: 'own' },
  documentLength: 2000,
  maxLength: 2048,
  generated: true,
  expects:
    'a folder with basic_train.tsv, basic_val.tsv and basic_test.tsv (.gz or not); parts that it lacks are generated',
  standing: ({ from }) =>
    splits.every((split) => from !== undefined && firstFile(from, listOpsFiles[split]) !== undefined)
      ? { reportAs: null, caution: 'Read from files that are not compared with the published ones.' }
      : {
          reportAs: null,
          caution:
            'Generated with the published distribution; the trees are not those of the published files.',
        },
  async fill(writer, source) {
    const published = { train: 96_000, valid: 2000, test: 2000 };
    checkListOpsFiles(source.from);
    for (const split of splits) {
      const add = (tokens: Uint8Array, label: number) =>
        writer.addExample(split, [writer.addDocument(brackets ? tokens : withoutBrackets(tokens))], label);
      const file = source.from && firstFile(source.from, listOpsFiles[split]);
      if (file !== undefined && file !== '') {
        for await (const { tokens, label } of listOpsOfTable(file)) {
          add(tokens, label);
          source.tick(writer.count(split), undefined);
        }
        continue;
      }
      const count = split === 'train' ? (source.examples ?? published.train) : published[split];
      for await (const { tokens, label } of drawn('listops', source, split, count)) {
        add(tokens, label);
        source.tick(writer.count(split), count);
      }
    }
  },
});

/** A folder that holds none of the files is a mistake, not a wish to generate all. */
function checkListOpsFiles(from: string | undefined): void {
  if (from === undefined || splits.some((split) => firstFile(from, listOpsFiles[split]) !== undefined))
    return;
  throw new DataError(
    `${from}: expected a folder with basic_train.tsv, basic_val.tsv or basic_test.tsv (.gz or not)`,
  );
}

const listOpsFiles: Record<Split, string[]> = {
  train: ['basic_train.tsv', 'basic_train.tsv.gz'],
  valid: ['basic_val.tsv', 'basic_val.tsv.gz'],
  test: ['basic_test.tsv', 'basic_test.tsv.gz'],
};

/** One in ten training reviews chooses the checkpoint. */
const HELD_OUT_REVIEWS = 10;

const imdb: SetDefinition = {
  name: 'imdb',
  title: 'imdb: film reviews as bytes, negative or positive (the task Text)',
  description: { inputs: 'one', classes: ['negative', 'positive'], vocabulary: [], validFrom: 'train' },
  documentLength: 4000,
  maxLength: 4096,
  generated: false,
  expects: 'a folder with imdb.train.tsv.gz and imdb.test.tsv.gz, the folder aclImdb, or aclImdb_v1.tar.gz',
  standing: () => asPublished,
  async fill(writer, source) {
    let index = 0;
    const counts = { train: 0, test: 0 };
    for await (const { part, label, text } of reviewsOf(source.from!)) {
      counts[part] += 1;
      const held = part === 'train' && new Random(source.seed, index).below(HELD_OUT_REVIEWS) === 0;
      writer.addExample(held ? 'valid' : part, [writer.addDocument(text)], label);
      index += 1;
      source.tick(index, 2 * PUBLISHED_REVIEWS);
    }
    if (counts.train !== PUBLISHED_REVIEWS || counts.test !== PUBLISHED_REVIEWS)
      throw new DataError(
        `${source.from}: holds ${counts.train} reviews to train and ${counts.test} to test, expected ${PUBLISHED_REVIEWS} each`,
      );
  },
};

/** Of each part. */
const PUBLISHED_REVIEWS = 25_000;

async function* reviewsOf(from: string): AsyncGenerator<Review> {
  if (statSync(from).isFile()) return yield* reviewsOfArchive(from);
  const tables = (['train', 'test'] as const).map((part) => ({
    part,
    path: firstFile(from, [`imdb.${part}.tsv.gz`, `imdb.${part}.tsv`]),
  }));
  if (tables.every(({ path }) => path === undefined)) return yield* reviewsOfFolder(reviewFolder(from));
  for (const { part, path } of tables) {
    if (path === undefined) throw new DataError(`${from}: holds no imdb.${part}.tsv.gz`);
    yield* reviewsOfTable(path, part);
  }
}

/** The folder itself or one that holds it. */
function reviewFolder(from: string): string {
  const folder = [from, join(from, 'aclImdb')].find((place) => existsSync(join(place, 'train')));
  if (folder === undefined) throw new DataError(`${from}: holds no reviews, expected ${imdb.expects}`);
  return folder;
}

const aan: SetDefinition = {
  name: 'aan',
  title: 'aan: does one paper cite the other, as bytes (the task Retrieval)',
  description: { inputs: 'two', classes: ['no citation', 'citation'], vocabulary: [], validFrom: 'own' },
  documentLength: 4096,
  maxLength: 4096,
  generated: false,
  expects:
    'a folder with new_aan_pairs.{train,eval,test}.tsv, or with aan.documents.jsonl.gz and aan.pairs.{train,val,test}.tsv',
  standing: ({ from }) =>
    firstFile(from!, ['new_aan_pairs.train.tsv']) === undefined
      ? { reportAs: 'aan-substitute', caution: 'Not the published pairs: a substitute of 1,664 papers.' }
      : asPublished,
  async fill(writer, source) {
    const from = source.from!;
    const documents = firstFile(from, ['aan.documents.jsonl.gz', 'aan.documents.jsonl']);
    const known = documents === undefined ? undefined : await readDocuments(documents);
    for (const split of splits) {
      const [table, ids] = pairFiles[split].map((name) => firstFile(from, [name]));
      if (table === undefined && ids !== undefined && known === undefined)
        throw new DataError(`${from}: holds no aan.documents.jsonl.gz, which ${pairFiles[split][1]} needs`);
      const pairs =
        table !== undefined ? pairsOfTable(table) : known && ids ? pairsOfIds(ids, known) : undefined;
      if (pairs === undefined)
        throw new DataError(`${from}: holds neither ${pairFiles[split].join(' nor ')}`);
      for await (const { texts, label } of pairs) {
        const pair = texts.map((text) => writer.addDocument(text.subarray(0, RETRIEVAL_BYTES)));
        writer.addExample(split, pair, label);
        source.tick(writer.count(split), undefined);
      }
      if (table !== undefined && writer.count(split) !== publishedPairs[split])
        throw new DataError(
          `${table}: holds ${writer.count(split)} pairs, expected ${publishedPairs[split]}`,
        );
    }
  },
};

const publishedPairs: Record<Split, number> = { train: 147_086, valid: 18_090, test: 17_437 };

/** The published pipeline keeps the first 10,000 bytes of a paper (spec 2.6). */
const RETRIEVAL_BYTES = 10_000;

const pairFiles: Record<Split, [table: string, ids: string]> = {
  train: ['new_aan_pairs.train.tsv', 'aan.pairs.train.tsv'],
  valid: ['new_aan_pairs.eval.tsv', 'aan.pairs.val.tsv'],
  test: ['new_aan_pairs.test.tsv', 'aan.pairs.test.tsv'],
};

/** One in ten training images chooses the checkpoint: the last, as in the published pipeline. */
const HELD_OUT_IMAGES = 10;

const cifar10: SetDefinition = {
  name: 'cifar10',
  title: 'cifar10: photographs of ten kinds of things, 32 x 32 grey pixels (the task Image)',
  description: { inputs: 'one', classes: [...cifar10Classes], vocabulary: [], validFrom: 'train' },
  documentLength: CIFAR_PIXELS,
  maxLength: CIFAR_PIXELS,
  generated: false,
  expects: cifar10Expects,
  standing: ({ from }) => cifar10Standing(from!),
  async fill(writer, source) {
    const { train, test } = await readCifar10(source.from!, source.tick);
    const held = train.length - Math.floor(train.length / HELD_OUT_IMAGES);
    const add = (split: Split, { pixels, label }: GreyExample) =>
      writer.addExample(split, [writer.addDocument(pixels)], label);
    for (const [index, example] of train.entries()) add(index < held ? 'train' : 'valid', example);
    for (const example of test) add('test', example);
  },
};

const pathfinder = (side: keyof typeof pathfinderShapes): SetDefinition => ({
  name: `pathfinder${side}`,
  title: `pathfinder${side}: are two discs joined by a dashed path, ${side} x ${side} grey pixels${side === 128 ? ' (Path-X)' : ''}`,
  description: { inputs: 'one', classes: ['apart', 'joined'], vocabulary: [], validFrom: 'own' },
  documentLength: side * side,
  maxLength: side * side,
  generated: true,
  expects: `the folder pathfinder${side} of the published archive, one of its curv_* folders, or a folder with {train,val,test}-images-idx3-ubyte.gz and -labels-idx1-ubyte.gz`,
  standing: ({ from }) => pathfinderStanding(from, side),
  async fill(writer, source) {
    if (source.from !== undefined) return addPathfinder(writer, source.from, side, source.tick);
    const published = { train: 160_000, valid: 20_000, test: 20_000 };
    for (const split of splits) {
      const train = source.examples ?? published.train;
      const count =
        split === 'train' ? train : Math.min(published[split], Math.max(1, Math.floor(train / 8)));
      for await (const { tokens, label } of drawn(`pathfinder${side}`, source, split, count)) {
        writer.addExample(split, [writer.addDocument(tokens)], label);
        source.tick(writer.count(split), count);
      }
    }
  },
});

function pathfinderStanding(from: string | undefined, side: number): SetStanding {
  const name = `pathfinder${side}`;
  if (from === undefined)
    return {
      reportAs: `${name}-generated`,
      caution: 'Drawn by the generator of this project with the published sizes; not the published images.',
    };
  if (idxFile(from, 'train', 'images') !== undefined)
    return {
      reportAs: `${name}-idx`,
      caution: 'Images that are not compared with the published files.',
    };
  const difficulty = basename(pathfinderFolder(from, side));
  if (difficulty === HARD_PATHFINDER) return asPublished;
  return {
    reportAs: `${name}-${difficulty}`,
    caution: `The pictures of ${difficulty}; the benchmark uses ${HARD_PATHFINDER}.`,
  };
}

async function addPathfinder(
  writer: ExampleSetWriter,
  from: string,
  side: number,
  tick: SetSource['tick'],
): Promise<void> {
  if (idxFile(from, 'train', 'images') !== undefined) {
    for (const split of splits) await addIdx(writer, split, from, side * side);
    return;
  }
  for await (const { split, pixels, label, done, total } of picturesOfFolder(
    pathfinderFolder(from, side),
    side,
  )) {
    writer.addExample(split, [writer.addDocument(pixels)], label);
    tick(done, total);
  }
}

async function addIdx(writer: ExampleSetWriter, split: Split, folder: string, pixels: number): Promise<void> {
  const [images, labels] = [await idxOf(folder, split, 'images'), await idxOf(folder, split, 'labels')];
  const isLabel = (value: Uint8Array) => value.length === 1 && value[0]! <= 1;
  if (
    images.length !== labels.length ||
    !images.every(({ length }) => length === pixels) ||
    !labels.every(isLabel)
  )
    throw new DataError(
      `${folder}: expected as many labels 0 or 1 as images of ${pixels} pixels in the ${split} part`,
    );
  images.forEach((image, i) => {
    writer.addExample(split, [writer.addDocument(image)], labels[i]![0]!);
  });
}

async function idxOf(folder: string, split: Split, what: 'images' | 'labels'): Promise<Uint8Array[]> {
  const path = idxFile(folder, split, what);
  if (path === undefined) throw new DataError(`${folder}: holds no ${idxNames(split, what)[0]}`);
  return readIdx(path);
}

function idxFile(folder: string, split: Split, what: 'images' | 'labels'): string | undefined {
  return firstFile(folder, idxNames(split, what));
}

function idxNames(split: Split, what: 'images' | 'labels'): string[] {
  const name = `${split === 'valid' ? 'val' : split}-${what}-idx${what === 'images' ? 3 : 1}-ubyte`;
  return [`${name}.gz`, name];
}

export const setDefinitions: readonly SetDefinition[] = [
  listOps(false),
  listOps(true),
  imdb,
  aan,
  cifar10,
  pathfinder(32),
  pathfinder(64),
  pathfinder(128),
  pathfinder(256),
];

/** @throws DataError for a name that does not exist, with the nearest one */
export function setDefinition(name: string): SetDefinition {
  const found = setDefinitions.find((one) => one.name === name);
  if (found !== undefined) return found;
  const names = setDefinitions.map((one) => one.name);
  const near = closestName(name, names);
  throw new DataError(
    `there is no set ${JSON.stringify(name)}, expected one of ${names.join(', ')}${near === undefined ? '' : `; did you mean '${near}'?`}`,
  );
}

function firstFile(folder: string, names: readonly string[]): string | undefined {
  return names.map((name) => join(folder, name)).find((path) => existsSync(path));
}
