/** One thing the doctor looked at. */
export interface Finding {
  readonly name: string;
  readonly status: 'ok' | 'warn' | 'fail';
  readonly found: string;
  /** The exact command that mends it; null where nothing is wrong or no command can. */
  readonly remedy: string | null;
}

/** Looks at everything the bridge stands on. Starts a few short processes, one of which loads the bridge. */
export function diagnose(options?: { env?: NodeJS.ProcessEnv }): Finding[];
/** One line per finding, remedies under it. */
export function formatFindings(findings: readonly Finding[]): string;
