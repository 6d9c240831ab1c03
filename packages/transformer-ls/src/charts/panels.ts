import { type LineChart, lineChart } from './line-chart.js';
import { element, escapeXml, text } from './svg.js';
import { CHART_STYLE } from './theme.js';

const HEADING = 44;
const PANEL = { width: 540, height: 400 };

/**
 * Draws charts side by side under one title, as one stand-alone SVG document. Their y axes are alike, so that a height means the
 * same in all of them.
 */
export function panels(title: string, charts: readonly LineChart[]): string {
  const width = PANEL.width * Math.max(1, charts.length);
  const height = HEADING + PANEL.height;
  const yIncludes = charts.flatMap(({ series, references = [] }) =>
    [...series.flatMap(({ points }) => points), ...references].map(({ y }) => y).filter(Number.isFinite),
  );
  const drawn = charts.map((chart, index) => {
    const svg = lineChart({ ...chart, ...PANEL, yIncludes });
    // A document inside a document needs only a place.
    return svg.replace('<svg ', `<svg x="${index * PANEL.width}" y="${HEADING}" `).trimEnd();
  });
  const content = [
    element('title', {}, escapeXml(title)) + element('style', {}, CHART_STYLE),
    element('rect', { class: 'tls-page', width, height, rx: 6 }),
    text(title, { class: 'tls-title', x: 18, y: 30 }),
    ...drawn,
  ].join('\n');
  const attributes = {
    xmlns: 'http://www.w3.org/2000/svg',
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
  };
  return `${element('svg', { ...attributes, role: 'img', 'font-size': 12 }, `\n${content}\n`)}\n`;
}
