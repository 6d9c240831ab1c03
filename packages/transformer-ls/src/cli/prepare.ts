/** `transformer-ls prepare`: makes a corpus or a set of examples ready and says what it is. */
import { resolve } from 'node:path';
import { Command } from 'commander';
import { splitNames } from '../data/byte-corpus.js';
import { corpora, corpusDescriptor } from '../data/corpora.js';
import { type PrepareProgress, prepareCorpus } from '../data/prepare.js';
import type { PreparedCorpus } from '../data/prepared-corpus.js';
import { type ExampleSet, splits } from '../lra/example-set.js';
import { prepareSet } from '../lra/prepare.js';
import { setDefinition, setDefinitions } from '../lra/sets.js';
import { formatBytes, formatInteger } from '../text/numbers.js';
import { corpusSearchFolders, dataFolder } from './data-folder.js';
import { UsageError } from './errors.js';
import { wholeNumber } from './flags.js';
import { StatusLine } from './status-line.js';

interface PrepareFlags {
  readonly from?: string;
  readonly download?: boolean;
  readonly verify?: boolean;
  readonly seed?: number;
  readonly examples?: number;
  readonly threads?: number;
  readonly dataFolder?: string;
}

const HELP = `
Corpora:
${corpora.map(({ title }) => `  ${title}`).join('\n')}

Sets of examples (Long Range Arena):
${setDefinitions.map(({ title, generated, expects }) => `  ${title}\n    ${generated ? 'generated, or ' : ''}--from ${expects}`).join('\n')}

The file of a known corpus is looked for in its folder, in the data folder, and in ../shared/data/wikipedia where that exists.

Examples:
  transformer-ls prepare embedded
  transformer-ls prepare text --from my-notes/
  transformer-ls prepare enwik8 --from enwik8.zip
  transformer-ls prepare enwik8 --download
  transformer-ls prepare listops
  transformer-ls prepare imdb --from aclImdb_v1.tar.gz
  transformer-ls prepare aan --from lra_release/tsv_data
  transformer-ls prepare cifar10 --from cifar-10-binary.tar.gz
  transformer-ls prepare pathfinder32 --from lra_release
  transformer-ls prepare pathfinder128 --examples 10000 --seed 1 --threads 8`;

const MOST_THREADS = 256;

export function prepareCommand(): Command {
  return new Command('prepare')
    .description(
      'Make a corpus ready for training: a known one, or your own text. Size and SHA-256 are checked.',
    )
    .argument('<data>', `one of ${[...corpora, ...setDefinitions].map(({ name }) => name).join(', ')}`)
    .option('--from <path>', '.gz, .zip or raw file; for the corpus text and for sets also a folder')
    .option('--download', 'fetch the corpus where it is not found locally; nothing is fetched without this')
    .option('--verify', 'check the SHA-256 of what was prepared before')
    .option('--seed <n>', 'seed of generated or held-out examples (default: 0)', wholeNumber())
    .option(
      '--examples <n>',
      'training examples to generate (default: as many as published)',
      wholeNumber({ min: 1 }),
    )
    .option(
      '--threads <n>',
      'threads that generate (default: one per core); the examples are the same for every number',
      wholeNumber({ min: 1, max: MOST_THREADS }),
    )
    .option('--data-folder <folder>', 'where prepared corpora lie (default: TRANSFORMER_LS_DATA or ./data)')
    .addHelpText('after', HELP)
    .action(async (name: string, flags: PrepareFlags) => {
      process.stdout.write(await prepare(name, flags));
    });
}

/** What was prepared, for people. */
async function prepare(name: string, flags: PrepareFlags): Promise<string> {
  const status = new StatusLine(process.stderr);
  const abort = new AbortController();
  const interrupt = () =>
    abort.abort(new UsageError('interrupted; what was downloaded is kept for the next time'));
  process.once('SIGINT', interrupt);
  try {
    const common = {
      folder: dataFolder(flags.dataFolder),
      from: flags.from,
      verify: flags.verify,
      signal: abort.signal,
    };
    if (setDefinitions.some((one) => one.name === name)) {
      const { seed, examples, threads } = flags;
      const onProgress = ({ bytes, total }: PrepareProgress) => status.show(countLine(name, bytes, total));
      const set = await prepareSet(name, { ...common, seed, examples, threads, onProgress });
      set.close();
      return setTable(set);
    }
    const prepared = await prepareCorpus(name, {
      ...common,
      searchFolders: corpusSearchFolders(),
      download: flags.download,
      onProgress: (progress) => status.show(progressLine(name, progress)),
    });
    return preparedTable(prepared);
  } catch (error) {
    throw error instanceof Error && error.name === 'DataError' ? new UsageError(error.message) : error;
  } finally {
    process.off('SIGINT', interrupt);
    status.clear();
  }
}

/** `enwik8: download 12.5 MiB of 34.8 MiB, 36 %, 2.1 MiB/s`. */
export function progressLine(name: string, { stage, bytes, total, rate }: PrepareProgress): string {
  const share =
    total === undefined || total === 0
      ? ''
      : ` of ${formatBytes(total)}, ${Math.min(100, Math.floor((100 * bytes) / total))} %`;
  const speed = rate === undefined ? '' : `, ${formatBytes(rate)}/s`;
  return `${name}: ${stage} ${formatBytes(bytes)}${share}${speed}`;
}

/** `listops: 12,000 of 96,000 examples`. */
function countLine(name: string, done: number, total: number | undefined): string {
  return `${name}: ${formatInteger(done)}${total === undefined ? '' : ` of ${formatInteger(total)}`} examples`;
}

/** A prepared set, for people. */
function setTable(set: ExampleSet): string {
  const { title } = setDefinition(set.record.task);
  const { documents, classes, source, caution, reportAs, validFrom } = set.record;
  const held = validFrom === 'train' ? ' (held out of the training part)' : '';
  const rows: [string, string][] = [
    ...splits.map((split): [string, string] => [
      split,
      `${formatInteger(set.count(split))} examples${split === 'valid' ? held : ''}`,
    ]),
    ['classes', classes.join(', ')],
    ['tokens', `${formatInteger(documents.bytes)} in all`],
    ['SHA-256', documents.sha256],
    ['source', source],
    ['folder', resolve(set.folder)],
    ...(reportAs === null ? [] : [['results', `are called ${reportAs}`] as [string, string]]),
  ];
  const lines = rows.map(([name, value]) => `  ${name.padEnd(14)} ${value}\n`).join('');
  return `${title}\n${lines}${caution === '' ? '' : `  ${caution}\n`}`;
}

/** A prepared corpus, for people. */
export function preparedTable(prepared: PreparedCorpus): string {
  const { title, vocabulary, licence, notToBeReportedAs } = corpusDescriptor(prepared.name);
  const split = (name: (typeof splitNames)[number]) => {
    const { start, end } = prepared.splits[name];
    return `${formatInteger(end - start)} bytes, from byte ${formatInteger(start)}`;
  };
  const rows: [string, string][] = [
    ['bytes', formatInteger(prepared.bytes)],
    ...splitNames.map((name): [string, string] => [name, split(name)]),
    ['tokens', vocabulary],
    ['SHA-256', prepared.sha256],
    ['source', prepared.source],
    ['licence', licence],
    ...Object.entries(prepared.notes).map(([name, count]): [string, string] => [name, formatInteger(count)]),
    ['file', resolve(prepared.path)],
  ];
  const lines = rows.map(([name, value]) => `  ${name.padEnd(14)} ${value}\n`).join('');
  return `${title}\n${lines}  ${notToBeReportedAs}\n`;
}
