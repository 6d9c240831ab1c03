// Colours of the charts. The hues keep apart for the common kinds of colour blindness (after the palette of Okabe
// and Ito); each has a lighter twin for dark pages, which the reader's own setting chooses.

/** Line colours as [on light, on dark]. */
export const COLOURS = [
  ['#0072b2', '#5cb8f2'],
  ['#d55e00', '#ff9a52'],
  ['#00805e', '#3fd0a4'],
  ['#a8487f', '#ea9cc8'],
  ['#8a6d00', '#e8c547'],
  ['#4b5563', '#c3cad4'],
] as const;

/** Text, lines and ground of a page. */
export const LIGHT = { page: '#ffffff', ink: '#1f2328', muted: '#59636e', grid: '#e6e9ed', axis: '#8c959f' };
export const DARK = { page: '#12161c', ink: '#e6edf3', muted: '#9aa6b2', grid: '#262d36', axis: '#6e7781' };

const SHAPES = [
  "text{font-family:system-ui,'Segoe UI',Helvetica,Arial,sans-serif}",
  '.tls-title{font-size:16px;font-weight:600}',
  '.tls-line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}',
  '.tls-faint{stroke-width:1;stroke-opacity:.35}',
  '.tls-dot{stroke-width:1.5}',
  '.tls-leader{stroke-width:.8}',
  '.tls-reference{stroke-width:1.2;stroke-dasharray:6 4}',
];

export const CHART_STYLE = [
  ...SHAPES,
  ...themeRules(LIGHT, 0),
  `@media (prefers-color-scheme:dark){${themeRules(DARK, 1).join('')}}`,
].join('');

function themeRules(theme: typeof LIGHT, shade: 0 | 1): string[] {
  return [
    `.tls-page{fill:${theme.page}}`,
    `.tls-title,.tls-ink{fill:${theme.ink}}`,
    `.tls-muted{fill:${theme.muted}}`,
    `.tls-grid{stroke:${theme.grid}}`,
    `.tls-axis,.tls-reference,.tls-leader{stroke:${theme.axis}}`,
    ...COLOURS.map((pair, index) => `.tls-c${index}{stroke:${pair[shade]}}`),
    ...COLOURS.map((pair, index) => `.tls-dot.tls-c${index}{fill:${pair[shade]}}`),
  ];
}
