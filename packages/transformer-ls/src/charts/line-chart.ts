import { placeLabels } from './label-places.js';
import { finitePieces, type Point, piecesBelow, thin } from './line.js';
import { isLogarithmic, makeScale, type Range, rangeOf, type Scale, type ScaleKind } from './scale.js';
import { coordinate, element, svgDocument, text, textWidth } from './svg.js';
import { CHART_STYLE, COLOURS } from './theme.js';

export type { Point } from './line.js';

/** One line of a chart. Points whose y is not finite are gaps; x must be ascending. */
export interface Series {
  readonly name: string;
  readonly points: readonly Point[];
  /**
   * `faint`: raw values behind a smoothed line; `marked`: few points, each with a dot; `labelled`: dots without a line, the name
   * beside the first in place of the legend. Default `line`.
   */
  readonly look?: 'line' | 'faint' | 'marked' | 'labelled';
  /** Length of a bar above and below each labelled dot, in units of y. */
  readonly spread?: number;
  /** Index into the colour-blind safe palette. Default: the series' own index. */
  readonly colour?: number;
}

/** A horizontal line across the whole chart with its label at the right edge. */
export interface ReferenceLine {
  readonly label: string;
  readonly y: number;
}

export interface LineChart {
  readonly title: string;
  readonly subtitle?: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly xScale?: ScaleKind;
  /** Default linear. A logarithmic axis leaves out what is not above zero. */
  readonly yScale?: 'linear' | 'log2' | 'log10';
  readonly series: readonly Series[];
  readonly references?: readonly ReferenceLine[];
  /** Highest y worth seeing: lines above it leave the picture at the top. Default: the highest value. */
  readonly yTop?: number;
  /** Values that the y axis must show too: charts side by side share an axis by naming each other's values. */
  readonly yIncludes?: readonly number[];
  /** Pixels. Defaults: 860 and 460. */
  readonly width?: number;
  readonly height?: number;
}

/** Where the plotting area lies, in pixels. */
interface Frame {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

interface Axes {
  readonly frame: Frame;
  readonly x: Scale;
  readonly y: Scale;
}

interface LegendEntry {
  readonly series: Series;
  readonly colour: string;
  readonly x: number;
  readonly y: number;
}

const FONT = 12;
const EDGE = 18;
const LEGEND_ROW = 20;
const LABEL_GAP = 15;
const SMALLEST = { width: 320, height: 240 };
const LARGEST_VALUE = 1e15;
const SMALLEST_ON_LOG = 1e-12;

/**
 * Draws a chart as one stand-alone SVG document, readable on light and dark pages.
 *
 * Errors: RangeError where the chart is smaller than 320 x 240 pixels.
 */
export function lineChart(chart: LineChart): string {
  const width = chart.width ?? 860;
  const height = chart.height ?? 460;
  if (!(width >= SMALLEST.width && height >= SMALLEST.height)) {
    throw new RangeError(`lineChart: smallest size is 320 x 240 pixels, got ${width} x ${height}`);
  }
  const least = leastOn(chart.yScale ?? 'linear');
  const drawn = {
    ...chart,
    series: chart.series.map((series) => visible(series, chart)),
    references: (chart.references ?? []).filter(({ y }) => y >= least),
    yIncludes: (chart.yIncludes ?? []).filter((y) => y >= least),
  };
  const headings = drawHeadings(drawn, width);
  const axes = layOut(drawn, width, height, headings.bottom);
  const parts = [
    element('rect', { class: 'tls-page', width, height, rx: 6 }),
    headings.markup,
    drawGrid(axes),
    drawReferences(drawn.references, axes),
    drawLabels(drawn.series, axes),
    ...drawn.series.map((series, index) => drawSeries(series, colourOf(series, index), axes)),
    drawAxes(chart, axes, height),
  ];
  if (drawn.series.every((series) => series.points.length === 0)) parts.push(drawEmpty(axes.frame));
  return svgDocument({ title: chart.title, style: CHART_STYLE, width, height, fontSize: FONT }, parts);
}

/** Values that no axis can hold are left out (x) or become gaps (y). */
function visible(series: Series, { xScale = 'linear', yScale = 'linear' }: LineChart): Series {
  const [leastX, leastY] = [leastOn(xScale), leastOn(yScale)];
  const points = series.points
    .filter(({ x }) => x >= leastX && x <= LARGEST_VALUE)
    .map(({ x, y }) => ({ x, y: y >= leastY && y <= LARGEST_VALUE ? y : Number.NaN }));
  return { ...series, points };
}

function leastOn(scale: ScaleKind): number {
  return isLogarithmic(scale) ? SMALLEST_ON_LOG : -LARGEST_VALUE;
}

function layOut(chart: LineChart, width: number, height: number, top: number): Axes {
  const points = chart.series.flatMap((series) => series.points);
  const kind = chart.xScale ?? 'linear';
  const yRange = yRangeOf(chart, points);
  const bottom = height - 54;
  const y = makeScale(
    chart.yScale ?? 'linear',
    yRange,
    bottom,
    top,
    Math.max(4, Math.floor((bottom - top) / 44)),
  );
  const left = EDGE + 22 + Math.max(...y.ticks.map((tick) => textWidth(tick.label, FONT)), 20);
  const labels = (chart.references ?? []).map((reference) => textWidth(reference.label, FONT));
  const right = width - Math.max(EDGE + 8, ...labels.map((label) => label + 8 + EDGE));
  const most = Math.max(2, Math.floor((right - left) / (isLogarithmic(kind) ? 60 : 80)));
  return {
    frame: { left, right, top, bottom },
    x: makeScale(kind, xRangeOf(kind, points), left, right, most),
    y,
  };
}

function xRangeOf(kind: ScaleKind, points: readonly Point[]): Range {
  const values = points.map((point) => point.x);
  if (!isLogarithmic(kind)) {
    const range = rangeOf(values, 0);
    // A run begins at nothing: show it, unless the picture is of a late part only.
    return range.low > 0 && range.low < 0.1 * range.high ? { low: 0, high: range.high } : range;
  }
  return logarithmicRange(values, 0.02);
}

/** The padding is a fraction of the powers in sight. */
function logarithmicRange(values: readonly number[], padding: number): Range {
  const { low, high } = rangeOf(values.map(Math.log2), padding);
  return { low: 2 ** low, high: 2 ** high };
}

function yRangeOf(chart: LineChart, points: readonly Point[]): Range {
  const bars = chart.series.flatMap(({ spread: half = 0, points: own }) =>
    own.flatMap(({ y }) => [y - half, y + half]),
  );
  const values = [...points.map((point) => point.y), ...bars].filter(Number.isFinite);
  const top = chart.yTop ?? Number.POSITIVE_INFINITY;
  const shown = values.filter((value) => value <= top);
  const capped = shown.length < values.length && Number.isFinite(top) ? [top] : [];
  const references = (chart.references ?? []).map((reference) => reference.y);
  const all = [...shown, ...capped, ...references, ...(chart.yIncludes ?? [])];
  return isLogarithmic(chart.yScale ?? 'linear') ? logarithmicRange(all, 0.05) : rangeOf(all, 0.05);
}

function drawHeadings(chart: LineChart, width: number): { markup: string; bottom: number } {
  let baseline = EDGE + 14;
  const title = fitted(chart.title, 16, width - 2 * EDGE);
  const parts = [text(title, { class: 'tls-title', x: EDGE, y: baseline })];
  if (chart.subtitle !== undefined) {
    baseline += 20;
    const subtitle = fitted(chart.subtitle, FONT, width - 2 * EDGE);
    parts.push(text(subtitle, { class: 'tls-muted', x: EDGE, y: baseline }));
  }
  const named = chart.series.filter(({ look }) => look !== 'labelled');
  const legend = layOutLegend(named, baseline + 24, width);
  parts.push(...legend.map(drawLegendEntry));
  return { markup: parts.join('\n'), bottom: (legend.at(-1)?.y ?? baseline) + 18 };
}

/** Shortens a heading that is wider than the picture. */
function fitted(content: string, fontSize: number, width: number): string {
  if (textWidth(content, fontSize) <= width) return content;
  let shortened = content;
  while (shortened !== '' && textWidth(`${shortened}…`, fontSize) > width) {
    shortened = [...shortened].slice(0, -1).join('');
  }
  return `${shortened}…`;
}

function layOutLegend(series: readonly Series[], firstRow: number, width: number): LegendEntry[] {
  let x = EDGE;
  let y = firstRow;
  return series.map((one, index) => {
    const entryWidth = 30 + textWidth(one.name, FONT) + 18;
    if (x > EDGE && x + entryWidth > width - EDGE) {
      x = EDGE;
      y += LEGEND_ROW;
    }
    const entry = { series: one, colour: colourOf(one, index), x, y };
    x += entryWidth;
    return entry;
  });
}

function drawLegendEntry({ series, colour, x, y }: LegendEntry): string {
  const middle = y - 4;
  const line = element('line', {
    class: `${lineClass(series)} ${colour}`,
    x1: x,
    x2: x + 22,
    y1: middle,
    y2: middle,
  });
  const dot = series.look === 'marked' ? drawDot({ x: x + 11, y: middle }, colour) : '';
  return `${line}${dot}${text(series.name, { class: 'tls-ink', x: x + 29, y })}`;
}

function drawGrid({ frame, x, y }: Axes): string {
  const across = y.ticks.map(({ value }) => {
    const height = y.pixel(value);
    return element('line', { x1: frame.left, x2: frame.right, y1: height, y2: height });
  });
  const upright = x.ticks.map(({ value }) => {
    const place = x.pixel(value);
    return element('line', { x1: place, x2: place, y1: frame.top, y2: frame.bottom });
  });
  return element('g', { class: 'tls-grid' }, [...across, ...upright].join(''));
}

function drawAxes(chart: LineChart, { frame, x, y }: Axes, height: number): string {
  const xMarks = x.ticks.map(({ value, label }) =>
    text(label, { x: x.pixel(value), y: frame.bottom + 18, 'text-anchor': 'middle' }),
  );
  const yMarks = y.ticks.map(({ value, label }) =>
    text(label, { x: frame.left - 8, y: y.pixel(value) + 4, 'text-anchor': 'end' }),
  );
  const line = element('line', {
    class: 'tls-axis',
    x1: frame.left,
    x2: frame.right,
    y1: frame.bottom,
    y2: frame.bottom,
  });
  const middle = (frame.top + frame.bottom) / 2;
  const xName = {
    class: 'tls-ink',
    x: (frame.left + frame.right) / 2,
    y: height - 14,
    'text-anchor': 'middle',
  };
  const turned = `rotate(-90 ${EDGE + 6} ${coordinate(middle)})`;
  const yName = { class: 'tls-ink', x: EDGE + 6, y: middle, 'text-anchor': 'middle', transform: turned };
  const marks = element('g', { class: 'tls-muted' }, [...xMarks, ...yMarks].join(''));
  return `${line}${marks}\n${text(chart.xLabel, xName)}${text(chart.yLabel, yName)}`;
}

function drawReferences(references: readonly ReferenceLine[], { frame, y }: Axes): string {
  const sorted = [...references].sort((a, b) => b.y - a.y);
  const places = spread(
    sorted.map((reference) => y.pixel(reference.y)),
    LABEL_GAP,
    frame,
  );
  return sorted
    .map((reference, index) => {
      const height = y.pixel(reference.y);
      const line = { class: 'tls-reference', x1: frame.left, x2: frame.right, y1: height, y2: height };
      const label = { class: 'tls-muted', x: frame.right + 8, y: places[index]! + 4 };
      return `${element('line', line)}${text(reference.label, label)}`;
    })
    .join('\n');
}

/** Moves ascending label positions apart until neighbours are at least `gap` pixels apart and inside the frame. */
function spread(wanted: readonly number[], gap: number, frame: Frame): number[] {
  const places: number[] = [];
  for (const place of wanted) places.push(Math.max(place, (places.at(-1) ?? Number.NEGATIVE_INFINITY) + gap));
  let limit = frame.bottom;
  for (let index = places.length - 1; index >= 0; index--) {
    places[index] = Math.min(places[index]!, limit);
    limit = places[index]! - gap;
  }
  return places;
}

/** Names beside the dots, with a line to those that had to be moved. */
function drawLabels(all: readonly Series[], axes: Axes): string {
  const labelled = all.flatMap(({ name, look, points }) => {
    const [first] = points;
    if (look !== 'labelled' || first === undefined) return [];
    return [{ name, at: toPixels(first, axes), width: textWidth(name, FONT) }];
  });
  return placeLabels(labelled, axes.frame)
    .map(({ x, y, anchor, isFar }, index) => {
      const { name, at } = labelled[index]!;
      const line = element('line', { class: 'tls-leader', x1: at.x, y1: at.y, x2: x, y2: y });
      const label = text(name, { class: 'tls-ink', x, y: y + 4, 'text-anchor': anchor });
      return isFar ? `${line}${label}` : label;
    })
    .join('\n');
}

function drawScatter({ points, spread: half = 0 }: Series, colour: string, axes: Axes): string {
  return points
    .filter(({ y }) => Number.isFinite(y))
    .map((point) => {
      const { x } = toPixels(point, axes);
      const [y1, y2] = [point.y - half, point.y + half].map(axes.y.pixel);
      const bar = half > 0 ? element('line', { class: `tls-line ${colour}`, x1: x, x2: x, y1, y2 }) : '';
      return `${bar}${drawDot(toPixels(point, axes), colour)}`;
    })
    .join('\n');
}

function drawSeries(series: Series, colour: string, axes: Axes): string {
  if (series.look === 'labelled') return drawScatter(series, colour, axes);
  const pieces = finitePieces(series.points).flatMap((piece) => {
    const thinned = thin(piece, (x) => Math.floor(axes.x.pixel(x)));
    return piecesBelow(thinned, axes.y.high);
  });
  const lines = pieces.map((piece) => drawPiece(piece, `${lineClass(series)} ${colour}`, axes));
  if (series.look !== 'marked') return lines.join('\n');
  const dots = series.points.filter(({ y }) => Number.isFinite(y) && y <= axes.y.high);
  return [...lines, ...dots.map((point) => drawDot(toPixels(point, axes), colour))].join('\n');
}

function drawPiece(piece: readonly Point[], className: string, axes: Axes): string {
  const pixels = piece.map((point) => toPixels(point, axes));
  const [only] = pixels;
  if (pixels.length === 1 && only !== undefined) return drawDot(only, className);
  const points = pixels.map(({ x, y }) => `${coordinate(x)},${coordinate(y)}`).join(' ');
  return element('polyline', { class: className, points });
}

function drawDot({ x, y }: Point, colour: string): string {
  return element('circle', { class: `tls-dot ${colour}`, cx: x, cy: y, r: 3.5 });
}

function drawEmpty(frame: Frame): string {
  const x = (frame.left + frame.right) / 2;
  return text('nothing measured yet', {
    class: 'tls-muted',
    x,
    y: (frame.top + frame.bottom) / 2,
    'text-anchor': 'middle',
  });
}

function toPixels({ x, y }: Point, axes: Axes): Point {
  return { x: axes.x.pixel(x), y: axes.y.pixel(y) };
}

function lineClass(series: Series): string {
  return series.look === 'faint' ? 'tls-line tls-faint' : 'tls-line';
}

function colourOf(series: Series, index: number): string {
  return `tls-c${(series.colour ?? index) % COLOURS.length}`;
}
