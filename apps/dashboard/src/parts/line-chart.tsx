/** Lines over a common axis, drawn by uPlot; a table of the last values says the same to who cannot see them. */
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { formatCount } from './text.js';

export interface Line {
  readonly name: string;
  /** A CSS colour. */
  readonly colour: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  readonly dashed?: boolean;
}

export interface LineChartProps {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly lines: readonly Line[];
  readonly logX?: boolean;
}

const HEIGHT = 340;

export function LineChart({ title, x, y, lines, logX = false }: LineChartProps) {
  const holder = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot>(undefined);
  const shape = JSON.stringify([x, y, logX, lines.map(({ name, colour, dashed }) => [name, colour, dashed])]);
  useEffect(() => {
    const { current } = holder;
    if (current === null) return;
    const made = new uPlot(optionsOf({ title, x, y, lines, logX }, current), aligned(lines), current);
    chart.current = made;
    const observer = new ResizeObserver(() => made.setSize({ width: current.clientWidth, height: HEIGHT }));
    observer.observe(current);
    const colours = new MutationObserver(() => made.redraw());
    colours.observe(document.documentElement, { attributeFilter: ['data-theme'] });
    return () => {
      observer.disconnect();
      colours.disconnect();
      made.destroy();
    };
  }, [shape]);
  useEffect(() => {
    chart.current?.setData(aligned(lines));
  }, [lines]);
  return (
    <figure class="chart" aria-label={title}>
      <figcaption>{title}</figcaption>
      <div ref={holder} aria-hidden="true" />
      <table class="sr-only">
        <caption>
          {title}: last values ({y} at {x})
        </caption>
        <tbody>
          {lines.map(({ name, points }) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td>{lastText(points)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </figure>
  );
}

function lastText(points: Line['points']): string {
  const last = points.at(-1);
  return last === undefined ? 'nothing yet' : `${formatCount(last[1])} at ${formatCount(last[0])}`;
}

function optionsOf({ x, y, lines, logX }: LineChartProps, holder: HTMLElement): uPlot.Options {
  const axis = (label: string, size?: number): uPlot.Axis => ({
    label,
    ...(size === undefined ? {} : { size }),
    stroke: () => colour(holder, '--quiet'),
    grid: { stroke: () => colour(holder, '--line'), width: 1 },
    ticks: { stroke: () => colour(holder, '--line'), width: 1 },
    values: (_, splits) => splits.map((value) => (value === null ? '' : formatCount(value))),
  });
  return {
    width: holder.clientWidth,
    height: HEIGHT,
    scales: { x: { time: false, distr: logX ? 3 : 1 }, y: { range: usualRange } },
    legend: { live: true },
    cursor: { points: { size: 6 } },
    axes: [axis(x), axis(y, 64)],
    series: [
      { label: x, value: (_, value) => (value === null ? '' : formatCount(value)) },
      ...lines.map(({ name, colour: stroke, dashed }) => ({
        label: name,
        stroke,
        width: 1.75,
        spanGaps: true,
        points: { show: dashed === true },
        ...(dashed ? { dash: [6, 4] } : {}),
        value: (_: uPlot, value: number | null) =>
          value === null ? '' : String(Number(value.toPrecision(4))),
      })),
    ],
  };
}

/**
 * What almost all numbers lie in: a few large ones, as where training begins, would press everything else into a line. Zooming shows what
 * lies above, in the range that a part of the axis has.
 */
function usualRange(chart: uPlot, least: number | null, most: number | null): uPlot.Range.MinMax {
  if (least === null || most === null) return [0, 1];
  const [from, to] = [chart.scales.x?.min ?? -Infinity, chart.scales.x?.max ?? Infinity];
  const [places, ...lines] = chart.data;
  const shown = lines
    .flatMap(
      (line) => [...line].filter((y, i) => y != null && places[i]! >= from && places[i]! <= to) as number[],
    )
    .sort((a, b) => a - b);
  const usual = shown[Math.floor(0.97 * (shown.length - 1))] ?? most;
  const height = usual - least || Math.abs(usual) || 1;
  return [least - 0.06 * height, Math.min(usual + 0.25 * height, most + 0.06 * height)];
}

function colour(element: HTMLElement, name: string): string {
  return getComputedStyle(element).getPropertyValue(name);
}

/** One list of places for all lines, null where a line has none. */
function aligned(lines: readonly Line[]): uPlot.AlignedData {
  if (lines.length === 0) return [[]];
  return uPlot.join(
    lines.map(
      ({ points }) =>
        [points.map(([x]) => x), points.map(([, y]) => (Number.isFinite(y) ? y : null))] as uPlot.AlignedData,
    ),
  );
}
