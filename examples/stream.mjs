// Streams text of an exported model; needs onnxruntime-node and no libtorch.
// Run: node examples/stream.mjs <exported folder> [prompt] [tokens]
import { loadLanguageModel } from '@transformer-ls/runtime';

const [folder = 'exported/first', prompt = 'The history of', tokens = '400'] = process.argv.slice(2);
const model = await loadLanguageModel(folder);
const stop = new AbortController();
process.once('SIGINT', () => stop.abort());

const text = model.generate(prompt, {
  maxTokens: Number(tokens),
  temperature: 0.8,
  topP: 0.95,
  seed: 1,
  signal: stop.signal,
});
process.stdout.write(prompt);
for await (const piece of text) process.stdout.write(piece);
console.log(`\n\n${text.tokens} tokens, ${(text.tokens / text.seconds).toFixed(0)} a second, ${text.ending}`);
await model.dispose();
