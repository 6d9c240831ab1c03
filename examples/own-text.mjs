// Trains a language model on your own text and lets it write.
// Run: node examples/own-text.mjs <file or folder> [minutes] [recipe]; Ctrl-C stops early and keeps what was learned.
import { resolve } from 'node:path';
import { generate, loadLanguageModel, openTraining, recipe } from 'transformer-ls';

const [from = 'docs', minutes = '5', name = 'text/small'] = process.argv.slice(2);
const folder = `runs/own-text-${Date.now()}`;
const budgets = { maxSteps: null, maxSeconds: Number.parseFloat(minutes) * 60 };
const config = { ...recipe(name), data: { name: 'text', path: resolve(from) }, ...budgets };

/** @type {import('transformer-ls').TrainingObserver} */
const observer = {
  message: (line) => console.log(line),
  record: (record) => {
    if (record.type === 'evaluation') console.log(`step ${record.step}: ${record.bpc} bits per character`);
  },
  saved: (step) => console.log(`saved at step ${step}`),
};
let stop = false;
process.once('SIGINT', () => {
  stop = true;
});

const data = { folder: 'data', searchFolders: [] };
const training = await openTraining({ kind: 'new', config, folder, data }, observer);
await training.run(() => stop);
await training.close();

const { model } = await loadLanguageModel(folder);
const stream = generate(model, { prompt: 'The ', maxTokens: 300, temperature: 0.8, seed: 1 });
for await (const text of stream.text()) process.stdout.write(text);
console.log(`\n\nGo on with: npx transformer-ls train --resume ${folder} --max-time 10m`);
