/** Classes with their probabilities. */
import type { ClassShare } from '@transformer-ls/runtime';
import { formatShare } from './text.js';

export function ShareBars({
  classes,
  most = 5,
}: {
  readonly classes: readonly ClassShare[];
  readonly most?: number;
}) {
  return (
    <ol class="shares">
      {classes.slice(0, most).map(({ id, name, probability }) => (
        <li key={id}>
          <span class="name">{name}</span>
          <meter class="bar" min={0} max={1} value={probability} aria-hidden="true" />
          <span class="number">{formatShare(probability)}</span>
        </li>
      ))}
    </ol>
  );
}
