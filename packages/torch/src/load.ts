/** Finds and loads the native bridge, once, at first use; importing this package loads nothing. */
import { createRequire } from 'node:module';
import { buildCommand, chooseAddon } from '../scripts/toolchain.mjs';
import type { Binding } from './binding.js';
import { NativeLoadError } from './errors.js';

let binding: Binding | null = null;

/** The bridge. @throws NativeLoadError naming every attempt and what mends it. */
export function native(): Binding {
  if (binding === null) binding = load();
  return binding;
}

function load(): Binding {
  preferSleepingThreads();
  const choice = chooseAddon();
  if (choice.path === null)
    throw new NativeLoadError(describe('no native bridge has been built', choice.attempts));
  try {
    return createRequire(import.meta.url)(choice.path) as Binding;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new NativeLoadError(describe(`the native bridge could not be loaded: ${reason}`, choice.attempts));
  }
}

/**
 * Threads that spin while they wait take the cores from those that work: with libgomp's (our operators, elementwise ones) and
 * OpenBLAS's (products) at their defaults, two threads are slower than one. Threads that sleep at once are woken many times in a pass, which
 * costs a tenth of it. So they spin for some 60 microseconds, and a core that another program wants is soon given up. Both read these
 * settings when they are loaded, so they must be set before; the user's own win. OpenBLAS's is a power of two of processor cycles.
 */
function preferSleepingThreads(): void {
  if (process.env.OMP_WAIT_POLICY === undefined) process.env.GOMP_SPINCOUNT ??= '3000';
  process.env.OMP_WAIT_POLICY ??= 'PASSIVE';
  process.env.OPENBLAS_THREAD_TIMEOUT ??= '14';
}

function describe(problem: string, attempts: readonly string[]): string {
  const tried = attempts.map((attempt) => `\n  tried: ${attempt}`).join('');
  return `${problem}${tried}\n  mend it with: ${buildCommand}   (explained by: npx transformer-ls doctor)`;
}
