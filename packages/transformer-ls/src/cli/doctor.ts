/** `transformer-ls doctor`: what the native part stands on, what is wrong with it, and the command that mends it. */
import { Command } from 'commander';
import type { Finding } from '../../../torch/scripts/doctor.mjs';
import { exitCodes } from './errors.js';

type Doctor = typeof import('../../../torch/scripts/doctor.mjs');

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('Check everything the native part stands on, and print the command that mends each problem.')
    .option('--json', 'print the findings as JSON')
    .addHelpText('after', '\nExamples:\n  transformer-ls doctor\n  transformer-ls doctor --json')
    .action(async ({ json }: { json?: boolean }) => {
      const { diagnose, formatFindings } = await loadDoctor();
      const findings = diagnose();
      console.log(json ? JSON.stringify(findings, null, 2) : formatFindings(findings));
      process.exitCode = exitCodeFor(findings);
    });
}

/** Plain JavaScript of the torch package: it must work where nothing has been built yet. */
async function loadDoctor(): Promise<Doctor> {
  const place = new URL('../scripts/doctor.mjs', import.meta.resolve('@transformer-ls/torch'));
  return (await import(place.href)) as Doctor;
}

function exitCodeFor(findings: readonly Finding[]): number {
  return findings.some(({ status }) => status === 'fail') ? exitCodes.failed : exitCodes.ok;
}
