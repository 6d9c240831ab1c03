/** A classifier that reads a document: what it is, and which passages say so. */
import { type ExportedTextClassifier, parseListOps } from '@transformer-ls/formats';
import type { TextClassification, WorkerModel } from '@transformer-ls/runtime';
import { useEffect, useState } from 'preact/hooks';
import { ModelPicker } from '../models/model-picker.js';
import { useExample } from '../models/use-example.js';
import { type UsedModel, useModel } from '../models/use-model.js';
import { heatOfBytes, heatOfTree } from '../parts/document-heat.js';
import { DropZone } from '../parts/drop-zone.js';
import { type HeatPart, HeatText } from '../parts/heat-text.js';
import { passageInfluence, passagesOf } from '../parts/passages.js';
import { ShareBars } from '../parts/share-bars.js';
import { formatInteger, formatShare, messageOf } from '../parts/text.js';

const KIND = 'text-classifier';
const MOST_BYTES = 10 * 2 ** 20;

interface Result {
  /** Of the model that read it: another may be chosen by now. */
  readonly manifest: ExportedTextClassifier;
  readonly text: string;
  readonly classification: TextClassification;
  readonly milliseconds: number;
  /** Of each passage; undefined while it has not been asked for. */
  readonly influence: readonly HeatPart[] | undefined;
}

export function ReadPage() {
  const used = useModel(KIND);
  const [text, setText] = useExample(used.chosen);
  const reader = useReader(used);
  const take = async (file: File) => {
    if (file.size > MOST_BYTES) reader.refuse(`${file.name}: expected at most 10 MiB, received more`);
    else setText(await file.text());
  };
  const isPair = manifestOf(used)?.model.inputs === 'two';
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
      {reader.result !== undefined && <Reading result={reader.result} reader={reader} />}
    </>
  );
}

type Reader = ReturnType<typeof useReader>;

interface ReadingProps {
  readonly result: Result;
  readonly reader: Reader;
}

function Reading({ result, reader }: ReadingProps) {
  const { manifest, text, classification, milliseconds } = result;
  const [read, all] = [classification.read[0]!, classification.tokens[0]!];
  const source = manifest.heat;
  const attention = attentionParts(result);
  const isTree = manifest.tokens !== 'bytes';
  return (
    <section class="card" aria-label="Result">
      <p class="label" role="status">
        {classification.label}
      </p>
      <ShareBars classes={classification.classes} />
      <p class="figures">
        {formatInteger(read)} of {formatInteger(all)} {isTree ? 'tokens' : 'bytes'} read in{' '}
        {Math.round(milliseconds)} ms
        {read < all && `: the model reads no more than its first ${formatInteger(read)}`}
        {isTree && `; the value of the tree is ${parseListOps(text).label}`}
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
      {!isTree && <Decided result={result} reader={reader} />}
    </section>
  );
}

/** A tree without one of its parts would be no tree: this is for texts. */
function Decided({ result: { classification, influence }, reader }: ReadingProps) {
  return (
    <>
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
    </>
  );
}

function useReader(used: UsedModel) {
  const [result, setResult] = useState<Result>();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string>();
  const chosen = used.chosen?.id;
  // What another model has read says nothing of this one.
  useEffect(() => setResult(undefined), [chosen]);
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
      const milliseconds = performance.now() - begun;
      const manifest = model.manifest as ExportedTextClassifier;
      setResult({ manifest, text, classification, milliseconds, influence: undefined });
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

function manifestOf({ state }: UsedModel): ExportedTextClassifier | undefined {
  return state.at === 'ready' && state.model.manifest.kind === 'text-classifier'
    ? state.model.manifest
    : undefined;
}

/** The beginning of a text that has so many bytes. */
function readPart(text: string, bytes: number): string {
  return new TextDecoder().decode(new TextEncoder().encode(text).subarray(0, bytes));
}

function attentionParts({
  manifest: { tokens },
  text,
  classification: { heat, read },
}: Result): HeatPart[] | undefined {
  const [first] = heat;
  if (first === undefined || first.length === 0) return undefined;
  return tokens === 'bytes'
    ? heatOfBytes(readPart(text, read[0]!), first)
    : heatOfTree(text, first, tokens === 'listops-brackets');
}
