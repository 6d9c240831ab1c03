/** `transformer-ls lra <task>`: what belongs to Long Range Arena as a whole, over several runs. */
import { Command } from 'commander';
import { lraReportCommand } from './lra-report.js';
import { robustnessCommand } from './lra-robustness.js';

const EXAMPLES = `
Examples:
  transformer-ls lra report runs
  transformer-ls lra robustness runs/listops-long-short runs/listops-linformer --out robustness
  transformer-ls lra robustness --help`;

export function lraCommand(): Command {
  return new Command('lra')
    .description('Compare runs on Long Range Arena.')
    .addCommand(lraReportCommand())
    .addCommand(robustnessCommand())
    .addHelpText('after', EXAMPLES);
}
