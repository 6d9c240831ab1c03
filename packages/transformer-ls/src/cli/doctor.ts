/** `transformer-ls doctor`: what the native part stands on, what is wrong with it, and the command that mends it. */
import type { Finding } from '@transformer-ls/torch/doctor';
import { Command } from 'commander';
import { exitCodes } from './errors.js';

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('Check everything the native part stands on, and print the command that mends each problem.')
    .option('--json', 'print the findings as JSON')
    .addHelpText('after', '\nExamples:\n  transformer-ls doctor\n  transformer-ls doctor --json')
    .action(async ({ json }: { json?: boolean }) => {
      const { diagnose, formatFindings } = await import('@transformer-ls/torch/doctor');
      const findings = diagnose();
      console.log(json ? JSON.stringify(findings, null, 2) : formatFindings(findings));
      process.exitCode = exitCodeFor(findings);
    });
}

function exitCodeFor(findings: readonly Finding[]): number {
  return findings.some(({ status }) => status === 'fail') ? exitCodes.failed : exitCodes.ok;
}
