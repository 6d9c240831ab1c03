/** Which model is used, how far it is loaded, and what it is. */
import { formatBytes } from '../parts/text.js';
import type { UsedModel } from './use-model.js';

export function ModelPicker({ used }: { readonly used: UsedModel }) {
  const { models, listError, chosen } = used;
  if (listError !== undefined) return <p class="problem">The models cannot be listed: {listError}</p>;
  if (models === undefined) return <p class="quiet">Looking for models…</p>;
  if (chosen === undefined)
    return (
      <p class="problem">
        There is no model of this kind here. Export one:{' '}
        <code>npx transformer-ls export runs/first --out models/first</code>
      </p>
    );
  return (
    <div class="picker">
      <label>
        Model{' '}
        <select value={chosen.id} onChange={(event) => used.choose(event.currentTarget.value)}>
          {models.map(({ id, name, bytes }) => (
            <option key={id} value={id}>
              {name} ({formatBytes(bytes)})
            </option>
          ))}
        </select>
      </label>
      <ModelStatus used={used} />
    </div>
  );
}

function ModelStatus({ used: { state } }: { readonly used: UsedModel }) {
  switch (state.at) {
    case 'nothing':
      return (
        <span class="quiet" role="status">
          runs in this tab; nothing you enter leaves it
        </span>
      );
    case 'loading':
      return (
        <span role="status">
          <progress max={1} value={state.share} aria-label="Loading the model" /> loading
        </span>
      );
    case 'failed':
      return (
        <span class="problem" role="alert">
          {state.reason}
        </span>
      );
    case 'ready':
      return (
        <span class="quiet" role="status">
          ready in {state.seconds.toFixed(1)} s{state.notes.map((note) => ` · ${note}`)}
        </span>
      );
  }
}
