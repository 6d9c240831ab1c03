/** How the weights of a file of torch.save lie in it, in words. */
import type { PublishedLayout, StateDict } from '../import/state-dict.js';

const LAYOUTS: Readonly<Record<PublishedLayout, string>> = {
  vision: 'checkpoint of the published ImageNet code',
  'long-range-arena': 'checkpoint of the published Long Range Arena code',
  fairseq: 'checkpoint of fairseq',
  'state-dict': 'state dict',
};

export function layoutText({
  layout,
  container,
  prefix,
  kind,
}: Omit<StateDict, 'tensors' | 'empty'>): string {
  const where = container === null ? 'the object itself' : `under ${container}`;
  const names = prefix === '' ? '' : `, names begin with ${prefix}`;
  return `${LAYOUTS[layout]}: weights of a ${kind} ${where}${names}`;
}
