/** `transformer-ls train`: from flags to a run, shown while it goes on. The training itself is in worker-train.ts. */
import { attentionNames } from '@transformer-ls/formats';
import { Command, InvalidArgumentError } from 'commander';
import { presetNames } from '../models/language-model/presets.js';
import { classifierPresetNames } from '../models/sequence-classifier/presets.js';
import { visionPresetNames } from '../models/vision/presets.js';
import { recipeNames } from '../train/recipes.js';
import { decimalNumber, repeated, wholeNumber } from './flags.js';
import { trainAndTest } from './train-and-test.js';
import type { TrainFlags } from './train-flags.js';
import { trainingRequest } from './train-request.js';
import { trainSeeds } from './train-seeds.js';

const HELP = `
Recipes:
  ${recipeNames.join('\n  ')}

Models for --model: ${presetNames.join(', ')};
of the recipes lra/…: ${classifierPresetNames.join(', ')};
of the recipes vision/…: ${visionPresetNames.join(', ')}.
Mechanisms for --attention (recipes lra/…):
  ${attentionNames.slice(0, 6).join(', ')},
  ${attentionNames.slice(6).join(', ')};
of the recipes vision/…: full or long-short in every stage.
Flags change the recipe; --steps, --epochs, --max-time and --max-tokens replace all of its limits. Any other setting of config.json:
--set optimizer.beta2=0.98. Ctrl-C saves and says how to go on. With several processes, of --processes or of torchrun, --batch is that
of all of them together.

Examples:
  transformer-ls train embedded/quickstart
  transformer-ls train text/small --from notes.txt --max-time 15m
  transformer-ls train wikipedia-100m/small-1h --out runs/wiki --seed 2
  transformer-ls train wikipedia-100m/small-1h --processes 2
  transformer-ls train wikipedia-100m/small-1h --segment 65536 --batch 1 --processes 2 --sequence-parallel 2
  transformer-ls train --resume runs/wiki --max-time 2h
  transformer-ls train lra/listops --attention linformer --set model.mode=consistent
  transformer-ls train lra/listops-cpu --seeds 1,2,3
  transformer-ls train vision/cifar10-cpu --data cifar-10-python.tar.gz
  transformer-ls train vision/cifar10-cpu --data cifar-10-python.tar.gz --attention full
  transformer-ls train vision/vil-ls-tiny --data photos --image-size 112 --epochs 50 --batch 64`;

export function trainCommand(): Command {
  return new Command('train')
    .description(
      'Train a language model, a classifier or a vision model by a recipe, or continue a run. Classifiers and vision models are then measured on the test part.',
    )
    .argument('[recipe]', 'what to train on what, how long: one of the recipes below')
    .option(
      '--data <corpus>',
      'corpus to train on: enwik8, text8, wikipedia-100m, text, embedded; for recipes vision/… the folder or archive of pictures',
    )
    .option('--from <path>', 'file or folder the corpus is made from')
    .option('--model <preset>', 'another model than that of the recipe: one of those below')
    .option(
      '--arch <stages>',
      "stages of a vision model in the published notation: 'l1,h3,d96,n1,s1,g1,p4,f7,a0,r8_…'",
    )
    .option('--image-size <n>', 'pixels a side that a vision model sees', wholeNumber({ min: 1 }))
    .option(
      '--classes <n>',
      'classes of a vision model (default: those of the pictures)',
      wholeNumber({ min: 1 }),
    )
    .option('--attention <name>', 'how the tokens of a classifier attend to one another: one of those below')
    .option('--out <folder>', 'new folder of the run (default: runs/<recipe>)')
    .option(
      '--steps <n>',
      'stop after n updates (a one-cycle schedule keeps its shape)',
      wholeNumber({ min: 1 }),
    )
    .option('--epochs <n>', 'stop after n passes through the pictures', wholeNumber({ min: 1 }))
    .option('--max-time <time>', 'stop after this time, such as 90s, 15m, 1.5h', duration)
    .option('--max-tokens <n>', 'stop after n trained tokens, such as 10M', wholeNumber({ min: 1 }))
    .option('--batch <n>', 'lanes or examples trained side by side', wholeNumber({ min: 1 }))
    .option('--segment <n>', 'tokens of a lane in one step', wholeNumber({ min: 1 }))
    .option('--learning-rate <rate>', 'peak learning rate', decimalNumber({ above: 0 }))
    .option('--seed <n>', 'seed of every random choice', wholeNumber())
    .option('--seeds <list>', 'one run for each seed, such as 1,2,3, with mean and spread', seedList)
    .option(
      '--threads <n>',
      'CPU threads of each process (default: all cores together)',
      wholeNumber({ min: 1 }),
    )
    .option(
      '--processes <n>',
      'processes of this machine that train together',
      wholeNumber({ min: 1, max: 1024 }),
    )
    .option(
      '--sequence-parallel <n>',
      'processes that share every sequence, each with a stretch of it (default: 1)',
      wholeNumber({ min: 1, max: 1024 }),
    )
    .option('--rank-timeout <time>', 'how long a process may not answer the others (default: 10m)', duration)
    .option('--device <device>', 'cpu, cuda or cuda:<n>')
    .option('--precision <type>', 'float32, bfloat16 or float16')
    .option('--initial-weights <path>', 'start from the weights of a run, checkpoint or .safetensors file')
    .option('--resume <folder>', 'continue the run in this folder')
    .option('--set <key=value>', 'change any setting; may be repeated', repeated, [])
    .option('--data-folder <folder>', 'where prepared corpora lie (default: TRANSFORMER_LS_DATA or ./data)')
    .option('--no-test', 'do not measure a classifier or vision model on the test part at the end')
    .option('--json', 'print one JSON record a line')
    .addHelpText('after', HELP)
    .action(async (name: string | undefined, flags: TrainFlags) => {
      if (flags.seeds !== undefined) process.exitCode = await trainSeeds(name, flags, flags.seeds, say);
      else process.exitCode = await trainAndTest(trainingRequest(name, flags, say), flags);
    });
}

/** What a flag brings about besides. */
function say(line: string): void {
  console.error(line);
}

/** Seconds of `90`, `90s`, `15m`, `1.5h`. */
export function duration(text: string): number {
  const [, digits, unit = 's'] = /^(\d+(?:\.\d+)?)([smhd]?)$/.exec(text.trim()) ?? [];
  const seconds = Number(digits) * ({ s: 1, m: 60, h: 3600, d: 86_400 }[unit] ?? 1);
  if (!(seconds > 0))
    throw new InvalidArgumentError(`Expected a time such as 90s, 15m or 2h, received '${text}'.`);
  return seconds;
}

/** Whole numbers between commas, each once. */
function seedList(text: string): number[] {
  const seeds = text.split(',').map(wholeNumber());
  if (new Set(seeds).size < seeds.length)
    throw new InvalidArgumentError(`Expected different seeds, received '${text}'.`);
  return seeds;
}
