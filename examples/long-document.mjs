// Classifies a long document with an exported model and shows the passage that it looked at most; needs no libtorch.
// Run: node examples/long-document.mjs <exported folder> <file>
import { readFile } from 'node:fs/promises';
import { loadTextClassifier } from '@transformer-ls/runtime';

const [folder = 'models/film-reviews/onnx', file = 'README.md'] = process.argv.slice(2);
const document = await readFile(file);
const model = await loadTextClassifier(folder);
const { label, classes, heat, tokens, read } = await model.classify(document);
await model.dispose();

console.log(`${file}: ${label}`);
for (const { name, probability } of classes) console.log(`  ${name} ${(100 * probability).toFixed(1)} %`);
if (read[0] < tokens[0]) console.log(`the first ${read[0]} of ${tokens[0]} bytes were read`);

const PASSAGE = 120;
const shares = heat[0] ?? [];
if (shares.length > 0) {
  const from = warmest(shares);
  const text = new TextDecoder().decode(document.subarray(from, from + PASSAGE));
  console.log(`looked at most, from byte ${from}: ${JSON.stringify(text)}`);
}

/** Where the passage with the largest sum begins. @param {ArrayLike<number>} shares of each byte */
function warmest(shares) {
  let best = 0;
  let bestSum = 0;
  let sum = 0;
  for (let end = 0; end < shares.length; end++) {
    sum += shares[end] - (end >= PASSAGE ? shares[end - PASSAGE] : 0);
    if (sum <= bestSum) continue;
    bestSum = sum;
    best = Math.max(0, end - PASSAGE + 1);
  }
  return best;
}
