/** Settings of the chosen runs side by side, their checkpoints, and bits per character against context. */
import type { RunDetails, RunSummary } from '@transformer-ls/formats';
import { useEffect, useState } from 'preact/hooks';
import { LineChart } from '../../parts/line-chart.js';
import { formatBytes, formatInteger, messageOf } from '../../parts/text.js';
import { runDetails } from '../../server.js';
import { colourOf } from './curves.js';

export function RunDetailsSection({ runs }: { readonly runs: readonly RunSummary[] }) {
  const { details, problem } = useDetails(runs);
  if (problem !== undefined) return <p class="problem">{problem}</p>;
  if (details.length === 0) return null;
  return (
    <>
      <ContextCurves details={details} />
      <Settings details={details} />
      <Checkpoints details={details} />
    </>
  );
}

function useDetails(runs: readonly RunSummary[]) {
  const [details, setDetails] = useState<readonly RunDetails[]>([]);
  const [problem, setProblem] = useState<string>();
  // New checkpoints come with new steps of the best, or with another state.
  const key = JSON.stringify(runs.map(({ id, state, best }) => [id, state, best?.step]));
  useEffect(() => {
    let over = false;
    Promise.all(runs.map(({ id }) => runDetails(id))).then(
      (found) => {
        if (!over) setDetails(found);
      },
      (error: unknown) => setProblem(messageOf(error)),
    );
    return () => {
      over = true;
    };
  }, [key]);
  return { details, problem };
}

function ContextCurves({ details }: { readonly details: readonly RunDetails[] }) {
  const lines = details.flatMap(({ id, context }) =>
    context === null
      ? []
      : [
          {
            name: id,
            colour: colourOf(id),
            points: context.map(({ length, bpc }) => [length, bpc] as const),
            dashed: true,
          },
        ],
  );
  if (lines.length === 0) return null;
  return (
    <section class="card" aria-label="Context">
      <LineChart
        title="bits per character against context length"
        x="tokens of context"
        y="bits per character"
        lines={lines}
        logX
      />
    </section>
  );
}

/** Settings in which runs differ come first; with one run all of them. */
function Settings({ details }: { readonly details: readonly RunDetails[] }) {
  const flat = details.map(({ config }) => flattened(config));
  const names = [...new Set(flat.flatMap((settings) => [...settings.keys()]))];
  const differs = (name: string) => new Set(flat.map((settings) => settings.get(name))).size > 1;
  const different = names.filter(differs);
  const same = names.filter((name) => !differs(name));
  return (
    <section class="card" aria-label="Settings">
      <h2>{details.length > 1 ? 'Settings that differ' : 'Settings'}</h2>
      {details.length > 1 && different.length === 0 && <p class="quiet">None.</p>}
      {details.length > 1 && different.length > 0 && (
        <SettingsTable names={different} details={details} flat={flat} />
      )}
      <details>
        <summary>
          {details.length > 1 ? `${same.length} settings that are the same` : `${same.length} settings`}
        </summary>
        <SettingsTable names={same} details={details.slice(0, 1)} flat={flat} />
      </details>
    </section>
  );
}

interface SettingsTableProps {
  readonly names: readonly string[];
  readonly details: readonly RunDetails[];
  readonly flat: readonly ReadonlyMap<string, string>[];
}

function SettingsTable({ names, details, flat }: SettingsTableProps) {
  return (
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">Setting</th>
            {details.map(({ id }) => (
              <th key={id} scope="col">
                {details.length > 1 ? id : 'Value'}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {names.map((name) => (
            <tr key={name}>
              <th scope="row">
                <code>{name}</code>
              </th>
              {details.map(({ id }, i) => (
                <td key={id}>{flat[i]!.get(name) ?? '–'}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Dotted names and values as text. */
function flattened(config: Readonly<Record<string, unknown>>, prefix = ''): Map<string, string> {
  const flat = new Map<string, string>();
  for (const [key, value] of Object.entries(config)) {
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      for (const [name, text] of flattened(value as Record<string, unknown>, `${prefix}${key}.`))
        flat.set(name, text);
    else flat.set(prefix + key, typeof value === 'string' ? value : JSON.stringify(value));
  }
  return flat;
}

function Checkpoints({ details }: { readonly details: readonly RunDetails[] }) {
  const rows = details.flatMap(({ id, checkpoints }) =>
    checkpoints.map((checkpoint) => ({ id, ...checkpoint })),
  );
  if (rows.length === 0) return null;
  return (
    <section class="card scroll" aria-label="Checkpoints">
      <h2>Checkpoints</h2>
      <table>
        <thead>
          <tr>
            <th scope="col">Run</th>
            <th scope="col">Kind</th>
            <th scope="col" class="right">
              Step
            </th>
            <th scope="col" class="right">
              Size
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ id, kind, step, bytes }) => (
            <tr key={`${id} ${kind} ${step}`}>
              <th scope="row">{id}</th>
              <td>{kind}</td>
              <td class="right">{formatInteger(step)}</td>
              <td class="right">{formatBytes(bytes)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
