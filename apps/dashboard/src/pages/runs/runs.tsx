/** Runs side by side, live while they train. */
import type { RunSummary } from '@transformer-ls/formats';
import { useMemo, useState } from 'preact/hooks';
import { LineChart } from '../../parts/line-chart.js';
import { formatInteger } from '../../parts/text.js';
import { AXES, type Axis, colourOf, linesOf, QUANTITIES, type Quantity } from './curves.js';
import { RunDetailsSection } from './details.js';
import { LraSection } from './lra.js';
import { type Records, useRuns } from './use-runs.js';

/** Runs that are shown at first. */
const FIRST = 2;

export function RunsPage() {
  const [chosen, setChosen] = useState<readonly string[]>();
  const { list, records, problem } = useRuns(chosen ?? []);
  if (list !== undefined && chosen === undefined) setChosen(list.runs.slice(0, FIRST).map(({ id }) => id));
  const shown = (list?.runs ?? []).filter(({ id }) => chosen?.includes(id));
  const toggle = (id: string, on: boolean) =>
    setChosen(on ? [...(chosen ?? []), id] : (chosen ?? []).filter((other) => other !== id));
  return (
    <>
      <h1>Runs</h1>
      {problem !== undefined && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      {list === undefined && problem === undefined && <p class="quiet">Looking for runs…</p>}
      {list !== undefined && list.runs.length === 0 && (
        <p class="card">
          There are no runs here yet. Start one:{' '}
          <code>npx transformer-ls train embedded/quickstart --out runs/first</code>
        </p>
      )}
      {list !== undefined && list.runs.length > 0 && (
        <RunTable runs={list.runs} chosen={chosen ?? []} onToggle={toggle} />
      )}
      {list?.unreadable.map(({ id, reason }) => (
        <p key={id} class="problem">
          {id}: {reason}
        </p>
      ))}
      {shown.length > 0 && <Curves runs={shown} records={records} />}
      {shown.length > 0 && <RunDetailsSection runs={shown} />}
      <LraSection />
    </>
  );
}

interface RunTableProps {
  readonly runs: readonly RunSummary[];
  readonly chosen: readonly string[];
  readonly onToggle: (id: string, on: boolean) => void;
}

function RunTable({ runs, chosen, onToggle }: RunTableProps) {
  return (
    <div class="card scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">Run</th>
            <th scope="col">Recipe</th>
            <th scope="col">State</th>
            <th scope="col" class="right">
              Steps
            </th>
            <th scope="col" class="right">
              Best
            </th>
            <th scope="col">Written</th>
          </tr>
        </thead>
        <tbody>
          {runs.map((run) => (
            <tr key={run.id}>
              <th scope="row">
                <label class="check">
                  <input
                    type="checkbox"
                    checked={chosen.includes(run.id)}
                    onChange={({ currentTarget }) => onToggle(run.id, currentTarget.checked)}
                  />
                  <span class="dot" style={{ background: colourOf(run.id) }} aria-hidden="true" /> {run.id}
                </label>
              </th>
              <td>{run.recipe}</td>
              <td>
                <span class={`state ${run.state}`}>{run.state}</span>
              </td>
              <td class="right">
                {formatInteger(run.step)}
                {run.maxSteps !== null && <span class="quiet"> / {formatInteger(run.maxSteps)}</span>}
              </td>
              <td class="right">
                {run.best === null ? '–' : `${run.best.value.toFixed(3)} ${run.best.name}`}
              </td>
              <td>{new Date(run.updated).toLocaleString()}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface CurvesProps {
  readonly runs: readonly RunSummary[];
  readonly records: Records;
}

function Curves({ runs, records }: CurvesProps) {
  const [quantity, setQuantity] = useState<Quantity>();
  const [axis, setAxis] = useState<Axis>('step');
  const usual: Quantity = runs.some(({ best }) => best?.name === 'bpc') ? 'bpc' : 'accuracy';
  const shown = quantity ?? usual;
  const lines = useMemo(
    () =>
      runs.flatMap(({ id }) => {
        return linesOf(id, colourOf(id), records.get(id) ?? [], shown, axis);
      }),
    [runs, records, shown, axis],
  );
  const steps = Math.max(0, ...runs.map(({ step }) => step));
  return (
    <section class="card" aria-label="Curves">
      <div class="row">
        <label>
          Show{' '}
          <select
            value={shown}
            onChange={({ currentTarget }) => setQuantity(currentTarget.value as Quantity)}
          >
            {Object.entries(QUANTITIES).map(([name, text]) => (
              <option key={name} value={name}>
                {text}
              </option>
            ))}
          </select>
        </label>
        <label>
          over{' '}
          <select value={axis} onChange={({ currentTarget }) => setAxis(currentTarget.value as Axis)}>
            {Object.entries(AXES).map(([name, text]) => (
              <option key={name} value={name}>
                {text}
              </option>
            ))}
          </select>
        </label>
        <span class="spring" />
        <span class="quiet">{formatInteger(steps)} steps; dashes are the validation part</span>
      </div>
      <LineChart
        title={`${QUANTITIES[shown]} over ${AXES[axis]}`}
        x={AXES[axis]}
        y={QUANTITIES[shown]}
        lines={lines}
      />
    </section>
  );
}
