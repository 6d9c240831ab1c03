/** `transformer-ls generate`: text from a model, byte by byte as it comes. */
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, statSync } from 'node:fs';
import { Command } from 'commander';
import { type GenerateOptions, generate, type Prompt, type TextStream } from '../generate/stream.js';
import { type LoadedLanguageModel, loadLanguageModel } from '../models/language-model/weights.js';
import { formatBytes, formatDuration, formatInteger, formatRate } from '../text/numbers.js';
import { exitCodes, UsageError } from './errors.js';
import { decimalNumber, repeated, wholeNumber } from './flags.js';
import { interruptible } from './interrupt.js';
import { useThreads } from './threads.js';

interface GenerateFlags {
  readonly prompt?: string;
  readonly promptFile?: string;
  readonly tokens: number;
  readonly temperature: number;
  readonly topK?: number;
  readonly topP: number;
  readonly seed?: number;
  readonly stop: readonly string[];
  readonly memory?: number;
  readonly newest?: boolean;
  readonly threads?: number;
  readonly raw?: boolean;
  readonly json?: boolean;
}

const EXAMPLES = `
The text goes to standard output as it comes: valid UTF-8, without control characters unless --raw is given. Speed and seed
go to standard error. Models in reference mode run their current block again for every token (their published incremental
path pads and pollutes the memory), so they are slower.

Examples:
  transformer-ls generate runs/first --prompt "The history of" --tokens 500
  transformer-ls generate runs/first --prompt-file chapter.txt --temperature 0.8 --top-k 40 --seed 7
  cat long.txt | transformer-ls generate runs/first --stop "\\n\\n"
  transformer-ls generate runs/first --raw > bytes.bin`;

export function generateCommand(): Command {
  return new Command('generate')
    .description('Stream text from a trained model.')
    .argument('<model>', 'run, checkpoint or model folder, weight file, or the name of a shipped model')
    .option('--prompt <text>', 'text to continue')
    .option(
      '--prompt-file <file>',
      'file to continue, of any length (default: standard input where it is piped)',
    )
    .option('--tokens <n>', 'end after n tokens (bytes)', wholeNumber({ min: 0 }), 500)
    .option(
      '--temperature <t>',
      '0 takes the likeliest token, 1 follows the model',
      decimalNumber({ min: 0 }),
      0.8,
    )
    .option('--top-k <k>', 'draw from the k likeliest tokens only', wholeNumber({ min: 1 }))
    .option(
      '--top-p <p>',
      'draw from the likeliest tokens that together have probability p',
      decimalNumber({ above: 0, max: 1 }),
      1,
    )
    .option(
      '--seed <n>',
      'equal seeds give equal texts (default: drawn and printed)',
      wholeNumber({ min: 0 }),
    )
    .option(
      '--stop <text>',
      'end where this would come; \\n and \\t are understood; may be repeated',
      repeated,
      [],
    )
    .option('--memory <tokens>', "tokens of memory (default: the model's own)", wholeNumber({ min: 0 }))
    .option('--threads <n>', 'CPU threads (default: all cores)', wholeNumber({ min: 1 }))
    .option('--newest', 'the newest checkpoint of a run instead of the best')
    .option('--raw', 'put out exactly the bytes of the model')
    .option('--json', 'print one JSON object at the end instead of text as it comes')
    .addHelpText('after', EXAMPLES)
    .action(runGenerate);
}

async function runGenerate(path: string, flags: GenerateFlags): Promise<void> {
  const prompt = promptOf(flags);
  const interrupt = interruptible();
  try {
    useThreads(flags.threads);
    const loaded = await loadLanguageModel(path, {
      choose: flags.newest ? 'newest' : 'best',
      ...(flags.memory === undefined ? {} : { override: { memoryLength: flags.memory } }),
    });
    for (const line of loaded.skipped) console.error(`transformer-ls generate: passed over ${line}`);
    const seed = flags.seed ?? randomInt(2 ** 31);
    const settings = { ...settingsOf(flags, loaded), prompt, seed, signal: interrupt.signal };
    const stream = generate(loaded.model, settings);
    await show(stream, flags, loaded, seed);
    if (stream.ending === 'aborted') process.exitCode = exitCodes.interrupted;
  } finally {
    interrupt.end();
    // Standard input that nobody reads any more would keep the process alive.
    process.stdin.destroy();
  }
}

async function show(
  stream: TextStream,
  flags: GenerateFlags,
  loaded: LoadedLanguageModel,
  seed: number,
): Promise<void> {
  if (flags.json) {
    console.log(JSON.stringify(record(await collect(stream), stream, loaded, seed)));
    return;
  }
  await print(stream, flags.raw === true);
  console.error(summaryLine(stream, loaded, seed));
}

function settingsOf(flags: GenerateFlags, { vocabulary }: LoadedLanguageModel): GenerateOptions {
  const { temperature, topK, topP, tokens, stop } = flags;
  return { temperature, topK, topP, maxTokens: tokens, stop: stop.map(unescaped), vocabulary };
}

function promptOf({ prompt, promptFile }: GenerateFlags): Prompt {
  if (prompt !== undefined && promptFile !== undefined)
    throw new UsageError('expected --prompt or --prompt-file, received both');
  if (prompt !== undefined) return prompt;
  if (promptFile !== undefined) return fileBytes(promptFile);
  return process.stdin.isTTY ? '' : stdinBytes();
}

function fileBytes(path: string): Prompt {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) throw new UsageError(`--prompt-file: ${path}: no such file`);
  if (stats.isDirectory()) throw new UsageError(`--prompt-file: ${path}: expected a file, found a folder`);
  return createReadStream(path);
}

async function* stdinBytes(): AsyncGenerator<Uint8Array> {
  for await (const piece of process.stdin) yield typeof piece === 'string' ? Buffer.from(piece) : piece;
}

/** Shells pass \\n as two characters. */
function unescaped(text: string): string {
  return text.replace(/\\([nt\\])/g, (_, letter: string) => ({ n: '\n', t: '\t' })[letter] ?? '\\');
}

async function print(stream: TextStream, raw: boolean): Promise<void> {
  let last: string | Uint8Array = '';
  for await (const piece of raw ? stream : stream.text()) {
    last = piece;
    if (!process.stdout.write(piece)) await once(process.stdout, 'drain');
  }
  if (typeof last === 'string' && !raw && !last.endsWith('\n')) process.stdout.write('\n');
}

async function collect(stream: TextStream): Promise<string> {
  let text = '';
  for await (const piece of stream.text()) text += piece;
  return text;
}

function summaryLine(stream: TextStream, loaded: LoadedLanguageModel, seed: number): string {
  const { tokens, seconds, promptTokens, promptSeconds, memoryBytes, ending } = stream;
  const read =
    promptTokens === 0
      ? ''
      : `prompt ${formatInteger(promptTokens)} tokens in ${formatDuration(promptSeconds)} (${formatRate(promptTokens / promptSeconds, 'tok')}), `;
  const made = `${formatInteger(tokens)} tokens in ${formatDuration(seconds)} (${formatRate(tokens / seconds, 'tok')})`;
  const state = `memory ${formatBytes(memoryBytes)}, seed ${seed}`;
  const note = loaded.config.mode === 'reference' ? ', reference mode: block run again per token' : '';
  return `[${read}${made}, ${state}${note}${ending === 'aborted' ? ', interrupted' : ''}]`;
}

function record(text: string, stream: TextStream, loaded: LoadedLanguageModel, seed: number) {
  const { tokens, seconds, promptTokens, promptSeconds, memoryBytes, ending } = stream;
  return {
    text,
    tokens,
    seconds,
    tokensPerSecond: tokens / seconds,
    promptTokens,
    promptSeconds,
    memoryBytes,
    ending,
    seed,
    step: loaded.step ?? null,
    mode: loaded.config.mode,
  };
}
