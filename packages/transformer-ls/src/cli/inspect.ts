/** `transformer-ls inspect`: what a run, checkpoint, model, weight file, PyTorch file, dictionary or metrics file holds. */
import { stat } from 'node:fs/promises';
import { Command } from 'commander';
import { inspectDictionary, inspectFile, inspectMetrics } from './inspect-files.js';
import { inspectModel } from './inspect-model.js';
import { inspectPth, isPthFile } from './inspect-pth.js';
import { describe, type Inspection } from './inspect-report.js';

const EXAMPLES = `
Examples:
  transformer-ls inspect runs/first
  transformer-ls inspect runs/lra-text
  transformer-ls inspect runs/first/best/step-00001000
  transformer-ls inspect model.safetensors --json
  transformer-ls inspect vil-ls-medium.pth
  transformer-ls inspect runs/first/metrics.jsonl`;

export function inspectCommand(): Command {
  return new Command('inspect')
    .description(
      'Show what a run, checkpoint, model folder, .safetensors or .pth file, dict.txt or metrics.jsonl holds.',
    )
    .argument('<path>', 'folder or file')
    .option('--json', 'print JSON')
    .addHelpText('after', EXAMPLES)
    .action(async (path: string, { json }: { json?: boolean }) => {
      const inspection = await inspect(path);
      console.log(json ? JSON.stringify(inspection, null, 2) : describe(inspection));
    });
}

async function inspect(path: string): Promise<Inspection> {
  const stats = await stat(path).catch(() => undefined);
  if (stats?.isFile() && path.endsWith('.jsonl')) return inspectMetrics(path);
  if (stats?.isFile() && path.endsWith('.txt')) return inspectDictionary(path);
  if (stats?.isFile()) return (await isPthFile(path)) ? inspectPth(path) : inspectFile(path);
  return inspectModel(path);
}
