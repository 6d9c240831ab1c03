/** A classifier that looks at a picture: what it is, and where the model looked. */
import type { ImageClassification, Picture } from '@transformer-ls/runtime';
import { useEffect, useRef, useState } from 'preact/hooks';
import boat from '../../../../docs/images/boat.png?url';
import { ModelPicker } from '../models/model-picker.js';
import { type UsedModel, useModel } from '../models/use-model.js';
import { DropZone } from '../parts/drop-zone.js';
import { pictureOf } from '../parts/picture.js';
import { drawHeat } from '../parts/picture-heat.js';
import { ShareBars } from '../parts/share-bars.js';
import { messageOf } from '../parts/text.js';

const KIND = 'image-classifier';

interface Seen {
  readonly picture: Picture;
  readonly classification: ImageClassification;
  readonly milliseconds: number;
}

export function SeePage() {
  const used = useModel(KIND);
  const [seen, setSeen] = useState<Seen>();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string>();
  const chosen = used.chosen?.id;
  // What another model has seen says nothing of this one.
  useEffect(() => setSeen(undefined), [chosen]);
  const look = async (file: Blob) => {
    setBusy(true);
    setProblem(undefined);
    try {
      const [picture, model] = await Promise.all([pictureOf(file), used.load()]);
      if (model === undefined) return;
      const begun = performance.now();
      const classification = await model.classifyImage(picture);
      setSeen({ picture, classification, milliseconds: performance.now() - begun });
    } catch (error) {
      setProblem(messageOf(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <h1>See</h1>
      <ModelPicker used={used} />
      <div class="card row">
        <DropZone accept="image/*" label="Open a picture" onFile={(file) => void look(file)}>
          <span class="quiet">{busy ? 'Looking…' : 'drop a picture here, or'}</span>
        </DropZone>
        <span class="quiet">or try</span>
        <button
          type="button"
          disabled={busy || used.chosen === undefined}
          onClick={async () => look(await (await fetch(boat)).blob())}
        >
          a drawn boat
        </button>
      </div>
      {problem !== undefined && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      {seen !== undefined && <Result seen={seen} used={used} />}
    </>
  );
}

function Result({
  seen: { picture, classification, milliseconds },
  used,
}: {
  readonly seen: Seen;
  readonly used: UsedModel;
}) {
  const [shownHeat, setShownHeat] = useState(true);
  const canvas = useRef<HTMLCanvasElement>(null);
  const { heat } = classification;
  useEffect(() => {
    if (canvas.current !== null) drawHeat(canvas.current, picture, shownHeat ? heat : null);
  }, [picture, heat, shownHeat]);
  return (
    <section class="card see" aria-label="Result">
      <div>
        <canvas
          ref={canvas}
          role="img"
          aria-label={`The picture${shownHeat ? ', lighter where the model looked' : ''}`}
        />
        {heat !== null && (
          <label class="check">
            <input
              type="checkbox"
              checked={shownHeat}
              onChange={({ currentTarget }) => setShownHeat(currentTarget.checked)}
            />{' '}
            show where it looked ({heat.rows} x {heat.columns}, {sourceText(used)})
          </label>
        )}
      </div>
      <div>
        <p class="label" role="status">
          {classification.label}
        </p>
        <ShareBars classes={classification.classes} />
        <p class="figures">
          {picture.width} x {picture.height} pixels, looked at in {Math.round(milliseconds)} ms
        </p>
      </div>
    </section>
  );
}

function sourceText({ state }: UsedModel): string {
  const source =
    state.at === 'ready' && state.model.manifest.kind === 'image-classifier'
      ? state.model.manifest.heat
      : 'none';
  return {
    'class token': 'what the global token takes in the last layer',
    'all tokens': 'what all places take on average in the last layer',
    projection: 'what the last layer keeps of the picture',
    none: '',
  }[source];
}
