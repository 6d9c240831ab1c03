/** What can go wrong with a dashboard, and with the files it shows. */
import { oneLineOf } from './one-line.js';

/** The dashboard cannot start; the message is one line for the user. */
export class DashboardError extends Error {
  override readonly name = 'DashboardError';
}

/** A file or folder that cannot be shown. The message is one line without the machine's paths: it goes to the page. */
export class UnreadableError extends Error {
  override readonly name = 'UnreadableError';
}

const LONGEST_REASON = 300;

/** Why something cannot be shown, for the page: one line, not long. */
export function reasonOf(error: unknown): string {
  return oneLineOf(error instanceof Error ? error.message : String(error), LONGEST_REASON);
}
