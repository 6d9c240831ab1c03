/** A language model that writes, and where it looks while it does. */
import type { ExportedLanguageModel } from '@transformer-ls/formats';
import type { StreamCounts, TokenAttention, WorkerModel, WorkerTextStream } from '@transformer-ls/runtime';
import { useEffect, useRef, useState } from 'preact/hooks';
import { ModelPicker } from '../models/model-picker.js';
import { useExample } from '../models/use-example.js';
import { useModel } from '../models/use-model.js';
import { AttentionStrip } from '../parts/attention-strip.js';
import { NumberField } from '../parts/number-field.js';
import { formatBytes, formatDuration, formatInteger, messageOf } from '../parts/text.js';

const KIND = 'language-model';
/** Characters of the text that are kept on the page. */
const MOST_SHOWN = 200_000;

interface Settings {
  readonly tokens: number;
  readonly temperature: number;
  readonly topP: number;
  readonly seed: number;
}

/** What is shown of a stream. */
interface Shown {
  readonly prompt: string;
  readonly text: string;
  readonly counts: StreamCounts;
  readonly attention: TokenAttention | null;
}

export function WritePage() {
  const used = useModel(KIND);
  const [prompt, setPrompt] = useExample(used.chosen);
  const [settings, setSettings] = useState<Settings>({ tokens: 1000, temperature: 0.8, topP: 0.95, seed: 1 });
  const [layer, setLayer] = useState<number | null>(null);
  const writer = useWriter();
  const { shown, running, problem } = writer;
  const start = async () => {
    const model = await used.load();
    if (model !== undefined) await writer.run(model, prompt, settings);
  };
  const change = (part: Partial<Settings>) => setSettings({ ...settings, ...part });
  const busy = running || used.state.at === 'loading';
  return (
    <>
      <h1>Write</h1>
      <ModelPicker used={used} />
      <form
        class="card"
        onSubmit={(event) => {
          event.preventDefault();
          void start();
        }}
      >
        <label class="wide">
          Beginning of the text
          <textarea rows={3} value={prompt} onInput={(event) => setPrompt(event.currentTarget.value)} />
        </label>
        <div class="row">
          <NumberField
            label="Tokens"
            min={1}
            max={1_000_000}
            value={settings.tokens}
            onChange={(tokens) => change({ tokens })}
          />
          <NumberField
            label="Temperature"
            min={0}
            max={5}
            step={0.1}
            value={settings.temperature}
            onChange={(temperature) => change({ temperature })}
          />
          <NumberField
            label="Top p"
            min={0.01}
            max={1}
            step={0.01}
            value={settings.topP}
            onChange={(topP) => change({ topP })}
          />
          <NumberField
            label="Seed"
            min={0}
            max={2 ** 31}
            value={settings.seed}
            onChange={(seed) => change({ seed })}
          />
          <span class="spring" />
          {running ? (
            <button type="button" onClick={writer.stop}>
              Stop
            </button>
          ) : (
            <button type="submit" class="primary" disabled={busy || used.chosen === undefined}>
              {busy ? 'Loading…' : 'Write'}
            </button>
          )}
        </div>
      </form>
      {problem !== undefined && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      {shown !== undefined && (
        <Written
          shown={shown}
          running={running}
          layer={layer}
          onLayer={setLayer}
          manifest={writer.manifest}
        />
      )}
    </>
  );
}

interface WrittenProps {
  readonly shown: Shown;
  readonly running: boolean;
  readonly layer: number | null;
  readonly onLayer: (layer: number | null) => void;
  readonly manifest: ExportedLanguageModel | undefined;
}

function Written({
  shown: { prompt, text, counts, attention },
  running,
  layer,
  onLayer,
  manifest,
}: WrittenProps) {
  const tokens = counts.promptTokens + counts.tokens;
  return (
    <section class="card" aria-label="What the model writes">
      <pre class="written" aria-live="off">
        <span class="quiet">{prompt}</span>
        {text}
        {running && <span class="cursor" aria-hidden="true" />}
      </pre>
      <p class="figures" role="status">
        <Counts counts={counts} running={running} />
      </p>
      {attention !== null && manifest !== undefined && (
        <>
          <div class="row">
            <h2>Where it looks</h2>
            <span class="spring" />
            <label>
              Layer{' '}
              <select
                value={layer === null ? 'all' : String(layer)}
                onChange={({ currentTarget: { value } }) => onLayer(value === 'all' ? null : Number(value))}
              >
                <option value="all">mean of all</option>
                {Array.from({ length: attention.layers }, (_, i) => (
                  <option key={i} value={String(i)}>
                    {i + 1}
                  </option>
                ))}
              </select>
            </label>
          </div>
          <AttentionStrip
            attention={attention}
            layer={layer}
            tokens={tokens}
            chunkSize={manifest.model.chunkSize}
            rank={manifest.model.projectionRank}
          />
        </>
      )}
    </section>
  );
}

function Counts({ counts, running }: { readonly counts: StreamCounts; readonly running: boolean }) {
  const { promptTokens, promptSeconds, tokens, seconds, memoryBytes, ending } = counts;
  const speed = tokens > 1 && seconds > 0 ? `${formatInteger((tokens - 1) / seconds)} tokens/s` : '…';
  const parts = [
    `context ${formatInteger(promptTokens + tokens)} tokens`,
    speed,
    `memory ${formatBytes(memoryBytes)}`,
    `beginning read in ${promptSeconds < 1 ? `${Math.round(1000 * promptSeconds)} ms` : formatDuration(promptSeconds)}`,
    ...(running ? [] : [endingText(ending)]),
  ];
  return <>{parts.join(' · ')}</>;
}

function endingText(ending: StreamCounts['ending']): string {
  return { length: 'all tokens written', stop: 'stopped at a given text', aborted: 'stopped' }[
    ending ?? 'aborted'
  ];
}

/** One stream at a time; the page is drawn at most once a frame. */
function useWriter() {
  const [shown, setShown] = useState<Shown>();
  const [running, setRunning] = useState(false);
  const [problem, setProblem] = useState<string>();
  const [manifest, setManifest] = useState<ExportedLanguageModel>();
  const stopper = useRef<AbortController>(undefined);
  useEffect(() => () => stopper.current?.abort(), []);
  const run = async (model: WorkerModel, prompt: string, { tokens, temperature, topP, seed }: Settings) => {
    const stop = new AbortController();
    stopper.current = stop;
    setManifest(model.manifest as ExportedLanguageModel);
    setProblem(undefined);
    setRunning(true);
    let [text, attention, drawn]: [string, TokenAttention | null, number] = ['', null, 0];
    try {
      const stream: WorkerTextStream = model.generate(prompt, {
        maxTokens: tokens,
        temperature,
        topP,
        seed,
        signal: stop.signal,
        onAttention: (latest) => {
          attention = latest;
        },
      });
      const draw = () =>
        setShown({ prompt, text: text.slice(-MOST_SHOWN), counts: stream.counts, attention });
      draw();
      for await (const piece of stream) {
        text += piece;
        if (performance.now() - drawn < FRAME_MS) continue;
        drawn = performance.now();
        draw();
      }
      draw();
    } catch (error) {
      setProblem(messageOf(error));
    } finally {
      setRunning(false);
    }
  };
  return { shown, running, problem, manifest, run, stop: () => stopper.current?.abort() };
}

const FRAME_MS = 33;
