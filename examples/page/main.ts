/** Classifies what is typed, in a worker: the page never stands still. */
import { loadInWorker } from '@transformer-ls/runtime';

const review = document.querySelector<HTMLTextAreaElement>('#review')!;
const answer = document.querySelector<HTMLElement>('#answer')!;

const model = await loadInWorker('onnx', {
  onProgress: ({ loadedBytes, totalBytes }) => {
    answer.textContent = `loading, ${Math.round((100 * loadedBytes) / totalBytes)} %`;
  },
});

async function classify(): Promise<void> {
  const asked = review.value;
  const { classes } = await model.classifyText(asked);
  if (asked !== review.value) return;
  const shares = classes.map(({ name, probability }) => `${name} ${Math.round(100 * probability)} %`);
  answer.textContent = `${shares.join(', ')} (${model.device})`;
}

review.addEventListener('input', () => void classify());
await classify();
