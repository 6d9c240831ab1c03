/** `npm run goldens -- <files or folders>`: one line per case, exit code 1 where any fails. */
import type { CaseResult } from './comparison.js';
import { goldenPaths, runGolden } from './run.js';

const USAGE = `usage: npm run goldens -- <golden files or folders>

Runs golden files (outputs and gradients of the published code) through this project's modules.
example: npm run goldens -- ../shared/goldens`;

function line(result: CaseResult): string {
  if (Number.isNaN(result.tolerance)) return `${result.name}: fail: ${result.problems.join('; ')}`;
  const figures = `outputs ${exponential(result.outputError)}, gradients ${exponential(result.gradientError)}`;
  const problems = result.problems.map((problem) => `\n    ${problem}`).join('');
  return `${result.name}: ${figures}, tolerance ${exponential(result.tolerance)}: ${result.status}${problems}`;
}

function exponential(value: number): string {
  return value.toExponential(1);
}

function main(places: string[]): number {
  if (places.length === 0 || places.includes('--help')) {
    console.log(USAGE);
    return places.length === 0 ? 2 : 0;
  }
  let [passed, failed] = [0, 0];
  for (const path of goldenPaths(places)) {
    const result = runGolden(path);
    console.log(line(result));
    if (result.status === 'pass') passed++;
    if (result.status === 'fail') failed++;
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed > 0 ? 1 : 0;
}

try {
  process.exitCode = main(process.argv.slice(2));
} catch (error) {
  console.error(`goldens: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 2;
}
