/** Runs of Long Range Arena beside published figures. */
import type { LraTable, LraTableRow } from '@transformer-ls/formats';
import { useEffect, useState } from 'preact/hooks';
import { formatInteger } from '../../parts/text.js';
import { lraTable } from '../../server.js';

export function LraSection() {
  const [table, setTable] = useState<LraTable>();
  useEffect(() => {
    // Without classifiers there is nothing to show, and what is wrong with a run is said above.
    lraTable().then(setTable, () => undefined);
  }, []);
  if (table === undefined || table.rows.length === 0) return null;
  return (
    <section class="card scroll" aria-label="Long Range Arena">
      <h2>Long Range Arena</h2>
      <table>
        <thead>
          <tr>
            <th scope="col">Set</th>
            <th scope="col">Model</th>
            <th scope="col" class="right">
              Test accuracy
            </th>
            <th scope="col" class="right">
              Published
            </th>
            <th scope="col" class="right">
              Seeds
            </th>
            <th scope="col" class="right">
              Steps
            </th>
          </tr>
        </thead>
        <tbody>
          {table.rows.map((row) => (
            <tr key={`${row.set} ${row.model} ${row.mode} ${row.steps}`}>
              <th scope="row">{row.set}</th>
              <td>
                {row.model}, {row.mode}
              </td>
              <td class="right">{accuracyText(row)}</td>
              <td class="right">{row.published === null ? '–' : `${row.published.toFixed(2)} %`}</td>
              <td class="right">{row.seeds}</td>
              <td class="right">{formatInteger(row.steps)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function accuracyText({ testAccuracy }: LraTableRow): string {
  if (testAccuracy === null) return 'not tested';
  const { mean, spread } = testAccuracy;
  return spread === null ? `${mean.toFixed(2)} %` : `${mean.toFixed(2)} ± ${spread.toFixed(2)} %`;
}
