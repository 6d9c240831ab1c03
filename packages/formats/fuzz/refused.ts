import assert from 'node:assert/strict';

/** The promise of a parser: what it does not read it refuses with an error of its own, whose message is one line and not too long. */
export function assertRefused(
  error: unknown,
  ...expected: readonly (new (
    ...args: never[]
  ) => Error)[]
): void {
  if (!expected.some((one) => error instanceof one)) throw error;
  assert.match((error as Error).message, /^[^\p{Cc}\p{Zl}\p{Zp}]{1,10000}$/u);
}
