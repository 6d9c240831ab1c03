/** `transformer-ls <verb>`: the table of commands, help, and what happens to errors. */
import { Command, CommanderError } from 'commander';
import { describeFailure, exitCodeOf } from './errors.js';
import { readVersion } from './version.js';

interface Verb {
  readonly summary: string;
  /** Loads the command when it is asked for: nothing here may load libtorch for a help text. */
  readonly load: () => Promise<Command>;
}

const verbs: Readonly<Record<string, Verb>> = {
  prepare: {
    summary: 'make a corpus ready for training: a known one, or your own text',
    load: async () => (await import('./prepare.js')).prepareCommand(),
  },
  train: {
    summary: 'train a language model or a classifier, or continue a run',
    load: async () => (await import('./train.js')).trainCommand(),
  },
  evaluate: {
    summary: 'bits per character beside gzip and xz, or accuracy, on held-out text or pictures',
    load: async () => (await import('./evaluate.js')).evaluateCommand(),
  },
  generate: {
    summary: 'stream text from a trained model',
    load: async () => (await import('./generate.js')).generateCommand(),
  },
  classify: {
    summary: 'label and probabilities of a text or a picture by a trained classifier',
    load: async () => (await import('./classify.js')).classifyCommand(),
  },
  lra: {
    summary: 'compare runs on Long Range Arena: report, robustness',
    load: async () => (await import('./lra.js')).lraCommand(),
  },
  attend: {
    summary: 'picture of what a trained classifier attends to in one text or image',
    load: async () => (await import('./attend.js')).attendCommand(),
  },
  export: {
    summary: 'write a model as ONNX, to run in Node or in a browser without libtorch',
    load: async () => (await import('./export.js')).exportCommand(),
  },
  import: {
    summary: 'turn a PyTorch checkpoint of the published code into a model folder',
    load: async () => (await import('./import.js')).importCommand(),
  },
  inspect: {
    summary: 'show what a run, checkpoint, weight file, PyTorch file, dictionary or metrics file holds',
    load: async () => (await import('./inspect.js')).inspectCommand(),
  },
  images: {
    summary: 'show what a folder or archive of pictures holds, and check that each can be read',
    load: async () => (await import('./images.js')).imagesCommand(),
  },
  dashboard: {
    summary: 'show runs while they train, and try exported models, in a browser',
    load: async () => (await import('./dashboard.js')).dashboardCommand(),
  },
  build: {
    summary: 'compile the native bridge of an installed package against libtorch',
    load: async () => (await import('./build.js')).buildCommand(),
  },
  doctor: {
    summary: 'check libtorch, compiler, BLAS, threads and GPU, and say what mends a problem',
    load: async () => (await import('./doctor.js')).doctorCommand(),
  },
};

const EXAMPLES = `
Examples:
  transformer-ls train embedded/quickstart --out runs/first
  transformer-ls train text/small --from notes.txt --max-time 15m
  transformer-ls evaluate runs/first
  transformer-ls generate runs/first --prompt "The history of" --tokens 500
  transformer-ls inspect runs/first
  transformer-ls dashboard runs
  transformer-ls <command> --help`;

/** The verb asked for, also after `help`; undefined where there is none. */
function verbOf(args: readonly string[]): string | undefined {
  const words = args.filter((arg) => !arg.startsWith('-'));
  return words[0] === 'help' ? words[1] : words[0];
}

/** Every verb is listed, but only the one asked for is loaded. */
async function buildProgram(verb: string | undefined): Promise<Command> {
  const program = new Command('transformer-ls')
    .description(
      'Train, evaluate and use Long-Short Transformers: language models and classifiers of long sequences.',
    )
    .version(readVersion(), '--version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .option('--debug', 'print where an error happened (or set TLS_DEBUG=1)')
    .addHelpText('after', EXAMPLES);
  for (const [name, { summary, load }] of Object.entries(verbs)) {
    const command = name === verb ? await load() : new Command(name).description(summary);
    program.addCommand(command.summary(summary));
  }
  reportThroughErrors(program);
  return program;
}

/** Commander would end the process and print several lines: here it throws, and `main` prints one. */
function reportThroughErrors(command: Command): void {
  command.exitOverride().configureOutput({ outputError: () => undefined });
  if (command.parent !== null) command.option('--debug', 'print where an error happened');
  for (const inner of command.commands) reportThroughErrors(inner);
}

/** The words of `args` that name a command, and one inside it: `lra robustness`. */
function namedCommand(program: Command | undefined, args: readonly string[]): string | undefined {
  const path: string[] = [];
  let at = program;
  for (const word of args.filter((arg) => !arg.startsWith('-'))) {
    at = at?.commands.find((command) => command.name() === word);
    if (at === undefined) break;
    path.push(word);
  }
  return path.length === 0 ? undefined : path.join(' ');
}

/** A reader such as `head` that has seen enough is no error. */
function endQuietlyOnClosedPipe(): void {
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit();
      throw error;
    });
}

/** A command that needs another word has printed its help, which says more than a line. */
function isHelp(error: unknown): boolean {
  return error instanceof CommanderError && error.code === 'commander.help';
}

async function main(args: readonly string[]): Promise<void> {
  endQuietlyOnClosedPipe();
  const debug = args.includes('--debug') || Boolean(process.env.TLS_DEBUG);
  let program: Command | undefined;
  try {
    program = await buildProgram(verbOf(args));
    if (args.length === 0) program.help({ error: true });
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    const code = exitCodeOf(error);
    if (code !== 0 && !isHelp(error))
      console.error(describeFailure(error, namedCommand(program, args), debug));
    process.exitCode = code;
  }
}

await main(process.argv.slice(2));
