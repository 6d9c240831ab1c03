import type { BuildOptions, BuildResult } from './toolchain.mjs';

/** A build that cannot start or that failed; the message is one line. */
export class NativeBuildError extends Error {}
/** Compiles the bridge for one libtorch unless it is built already. Throws `NativeBuildError`. */
export function buildNative(options: BuildOptions): Promise<BuildResult>;
/** One line that names the first error of a build log. */
export function describeFailure(text: string, logPath: string, signal: string | null): string;
