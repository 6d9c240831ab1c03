/** How a command fails: one line that says what was expected and what came, and an exit code. */
import { CommanderError } from 'commander';

/** Exit codes: a command that did its work, that could not, and that was called in a way it does not know. */
export const exitCodes = { ok: 0, failed: 1, usage: 2, interrupted: 130 } as const;

/** The command line is not as it must be; the message is one line. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Errors whose messages are written for the user, by name: asking by class would load libtorch for a mistyped flag. */
const EXPECTED_ERRORS = new Set([
  'UsageError',
  'DataError',
  'VocabularyError',
  'ImageError',
  'RunFolderError',
  'ConfigError',
  'SafetensorsError',
  'PthError',
  'PickleError',
  'MetricsError',
  'WeightsError',
  'ExportError',
  'RuntimeError',
  'GenerationError',
  'TorchError',
  'ArgumentError',
  'NativeLoadError',
  'NativeBuildError',
  'TrainingError',
  'DistributedError',
  'DashboardError',
]);

/** What the shell gets to know of an error. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  return error instanceof UsageError ? exitCodes.usage : exitCodes.failed;
}

/** `transformer-ls evaluate: …`: the error as one line without control characters; with `debug` followed by the stack. */
export function describeFailure(error: unknown, verb: string | undefined, debug: boolean): string {
  const program = verb === undefined ? 'transformer-ls' : `transformer-ls ${verb}`;
  const line = `${program}: ${oneLine(messageOf(error))}`;
  if (debug && error instanceof Error) return `${line}\n${stackOf(error)}`;
  return isExpected(error) ? line : `${line} (unexpected; --debug shows where)`;
}

/** The stack with those of its causes, without the message that was printed already. */
function stackOf(error: Error): string {
  const own = error.stack ?? String(error);
  return error.cause instanceof Error ? `${own}\ncaused by ${stackOf(error.cause)}` : own;
}

function isExpected(error: unknown): boolean {
  if (error instanceof CommanderError) return true;
  return error instanceof Error && EXPECTED_ERRORS.has(error.name);
}

function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/^error: /, '');
}

function oneLine(text: string): string {
  return text
    .split('\n')
    .map((line) => line.replace(/\p{Cc}+/gu, ' ').trim())
    .filter((line) => line !== '')
    .reduce((joined, line) => (line.startsWith('(') ? `${joined} ${line}` : `${joined}; ${line}`));
}
