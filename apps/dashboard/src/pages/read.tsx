/** A classifier that reads a document: what it is, and which passages say so. */
import type { TextClassification, WorkerModel } from '@transformer-ls/runtime';
import { useState } from 'preact/hooks';
import { ModelPicker } from '../models/model-picker.js';
import { type UsedModel, useModel } from '../models/use-model.js';
import { DropZone } from '../parts/drop-zone.js';
import { type HeatPart, HeatText } from '../parts/heat-text.js';
import { passageInfluence, passagesOf } from '../parts/passages.js';
import { ShareBars } from '../parts/share-bars.js';
import { formatInteger, formatShare, messageOf } from '../parts/text.js';

const KIND = 'text-classifier';
const MOST_BYTES = 10 * 2 ** 20;
const EXAMPLE = `I went in expecting very little. The first twenty minutes are slow, and the music is far too loud. But then the story turns, and from there on I could not look away: the actors are wonderful together, the camera is patient, and the ending is one of the most moving I have seen in years. Do not leave before it. A small, warm, clever film that I will watch again.`;

interface Result {
  readonly text: string;
  readonly classification: TextClassification;
  readonly milliseconds: number;
  /** Of each passage; undefined while it has not been asked for. */
  readonly influence: readonly HeatPart[] | undefined;
}

export function ReadPage() {
  const used = useModel(KIND);
  const [text, setText] = useState(EXAMPLE);
  const reader = useReader(used);
  const take = async (file: File) => {
    if (file.size > MOST_BYTES) reader.refuse(`${file.name}: expected at most 10 MiB, received more`);
    else setText(await file.text());
  };
  const isPair = used.state.at === 'ready' && isPairModel(used.state.model);
  return (
    <>
      <h1>Read</h1>
      <ModelPicker used={used} />
      <form
        class="card"
        onSubmit={(event) => {
          event.preventDefault();
          void reader.read(text);
        }}
      >
        <label class="wide">
          Document
          <textarea rows={8} value={text} onInput={(event) => setText(event.currentTarget.value)} />
        </label>
        <div class="row">
          <DropZone accept=".txt,.md,.html,text/*" label="Open a file" onFile={(file) => void take(file)}>
            <span class="quiet">drop a text here, or</span>
          </DropZone>
          <span class="spring" />
          <button
            type="submit"
            class="primary"
            disabled={reader.busy || text.trim() === '' || used.chosen === undefined}
          >
            {reader.busy ? 'Reading…' : 'Read'}
          </button>
        </div>
      </form>
      {isPair && <p class="problem">This model compares two documents, which this page does not do.</p>}
      {reader.problem !== undefined && (
        <p class="problem" role="alert">
          {reader.problem}
        </p>
      )}
      {reader.result !== undefined && <Reading result={reader.result} reader={reader} used={used} />}
    </>
  );
}

type Reader = ReturnType<typeof useReader>;

function Reading({
  result,
  reader,
  used,
}: {
  readonly result: Result;
  readonly reader: Reader;
  readonly used: UsedModel;
}) {
  const { classification, milliseconds, influence } = result;
  const [read, all] = [classification.read[0]!, classification.tokens[0]!];
  const source = used.state.at === 'ready' ? heatSource(used.state.model) : 'none';
  const attention = source === 'none' ? undefined : attentionParts(result);
  return (
    <section class="card" aria-label="Result">
      <p class="label" role="status">
        {classification.label}
      </p>
      <ShareBars classes={classification.classes} />
      <p class="figures">
        {formatInteger(read)} of {formatInteger(all)} bytes read in {Math.round(milliseconds)} ms
        {read < all && `: the model reads no more than its first ${formatInteger(read)}`}
      </p>
      {attention !== undefined && (
        <>
          <h2>Where it looked</h2>
          <p class="quiet">
            {source === 'class token'
              ? 'What the class token took from each place in the last layer, relative to the most.'
              : 'The part of each place in what the last layer keeps of the text, relative to the most.'}
          </p>
          <HeatText parts={attention} />
        </>
      )}
      <h2>What decided</h2>
      {influence === undefined ? (
        <p>
          <button type="button" disabled={reader.busy} onClick={() => void reader.explain()}>
            {reader.busy ? 'Reading without each passage…' : 'Read it again without each passage'}
          </button>{' '}
          <span class="quiet">shows how the result changes when a passage is missing</span>
        </p>
      ) : (
        <>
          <p class="quiet">
            <span class="key for">speaks for “{classification.label}”</span>{' '}
            <span class="key against">speaks against it</span>: how far the probability falls or rises without
            the passage.
          </p>
          <HeatText parts={influence} />
        </>
      )}
    </section>
  );
}

function useReader(used: UsedModel) {
  const [result, setResult] = useState<Result>();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string>();
  const doing = async (work: (model: WorkerModel) => Promise<void>) => {
    setBusy(true);
    setProblem(undefined);
    try {
      const model = await used.load();
      if (model !== undefined) await work(model);
    } catch (error) {
      setProblem(messageOf(error));
    } finally {
      setBusy(false);
    }
  };
  const read = (text: string) =>
    doing(async (model) => {
      setResult(undefined);
      const begun = performance.now();
      const classification = await model.classifyText(text);
      setResult({ text, classification, milliseconds: performance.now() - begun, influence: undefined });
    });
  const explain = () =>
    doing(async (model) => {
      if (result === undefined) return;
      const { text, classification } = result;
      const seen = readPart(text, classification.read[0]!);
      const passages = passagesOf(seen);
      const shareOf = async (document: string) => {
        const { classes } = await model.classifyText(document);
        return classes.find(({ name }) => name === classification.label)!.probability;
      };
      const changes = await passageInfluence(passages, classification.classes[0]!.probability, shareOf);
      const most = Math.max(...changes.map(Math.abs), 1e-6);
      const influence = passages.map((passage, i) => ({
        text: passage,
        weight: changes[i]! / most,
        title: `without it: ${formatShare(classification.classes[0]!.probability - changes[i]!)}`,
      }));
      setResult({ ...result, influence });
    });
  return { result, busy, problem, read, explain, refuse: setProblem };
}

function isPairModel({ manifest }: WorkerModel): boolean {
  return manifest.kind === 'text-classifier' && manifest.model.inputs === 'two';
}

function heatSource({ manifest }: WorkerModel): string {
  return manifest.kind === 'text-classifier' ? manifest.heat : 'none';
}

/** The beginning of a text that has so many bytes. */
function readPart(text: string, bytes: number): string {
  return new TextDecoder().decode(new TextEncoder().encode(text).subarray(0, bytes));
}

/** Words with the mean of their bytes, from the least (0) to the most (1). */
function attentionParts({ text, classification }: Result): HeatPart[] | undefined {
  const [heat] = classification.heat;
  if (heat === undefined || heat.length === 0) return undefined;
  const words = readPart(text, classification.read[0]!).match(/\s*\S+\s*$|\s*\S+/g) ?? [];
  const encoder = new TextEncoder();
  let at = 0;
  const means = words.map((word) => {
    const bytes = heat.subarray(at, at + encoder.encode(word).length);
    at += encoder.encode(word).length;
    return bytes.length === 0 ? 0 : bytes.reduce((a, b) => a + b, 0) / bytes.length;
  });
  const [least, most] = [Math.min(...means), Math.max(...means)];
  const average = heat.reduce((a, b) => a + b, 0) / heat.length;
  return words.map((word, i) => ({
    text: word,
    weight: most > least ? (means[i]! - least) / (most - least) : 0,
    title: `${(means[i]! / average).toFixed(2)} times the average`,
  }));
}
