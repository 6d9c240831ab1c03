import { expect, it } from 'vitest';
import { CATALOGUE } from '../../benches/all.catalogue.mjs';
import { quickRun, tableRows } from './run-bench.js';

const inQuickSuite = ['attention-layer', 'layer-memory', 'streaming-cost'];
const rest = Object.entries(CATALOGUE).flatMap(([name, bench]) =>
  'needs' in bench || inQuickSuite.includes(name) ? [] : [name],
);

it.each(rest)('a smoke run of %s files a table', (name) => {
  const { status, stderr, report } = quickRun(name);
  expect(status, stderr).toBe(0);
  const rows = tableRows(report);
  expect(rows.length).toBeGreaterThan(0);
  expect(rows[0]!.some((cell) => Number(cell.replace(',', '')) > 0)).toBe(true);
});
