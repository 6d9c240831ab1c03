// The few pieces of SVG that the charts are made of, written as text: no document model is needed to draw lines.

/** Attribute values of one element; `undefined` leaves the attribute out. */
export type Attributes = Readonly<Record<string, string | number | undefined>>;

/** Escapes text for an XML element or attribute; characters that XML 1.0 forbids become U+FFFD. */
export function escapeXml(text: string): string {
  return text
    .replace(/\p{Surrogate}/gu, '\uFFFD')
    .replace(FORBIDDEN, '\uFFFD')
    .replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to find
const FORBIDDEN = /[\u0000-\u0008\u000B\u000C\u000E-\u001F\uFFFE\uFFFF]/g;

/** One element. `content` is markup that is already escaped. */
export function element(name: string, attributes: Attributes, content = ''): string {
  const written = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(
      ([key, value]) =>
        ` ${key}="${typeof value === 'number' ? coordinate(value) : escapeXml(String(value))}"`,
    )
    .join('');
  return content === '' ? `<${name}${written}/>` : `<${name}${written}>${content}</${name}>`;
}

/** A `text` element; `content` is plain text. */
export function text(content: string, attributes: Attributes): string {
  return element('text', attributes, escapeXml(content));
}

export interface SvgPage {
  readonly title: string;
  /** CSS rules. */
  readonly style: string;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  readonly fontSize: number;
}

/** A stand-alone document; `parts` are markup. */
export function svgDocument(
  { title, style, width, height, fontSize }: SvgPage,
  parts: readonly string[],
): string {
  const head = element('title', {}, escapeXml(title)) + element('style', {}, style);
  const content = [head, ...parts].filter((part) => part !== '').join('\n');
  const attributes = {
    xmlns: 'http://www.w3.org/2000/svg',
    viewBox: `0 0 ${coordinate(width)} ${coordinate(height)}`,
    width,
    height,
    role: 'img',
  };
  return `${element('svg', { ...attributes, 'font-size': fontSize }, `\n${content}\n`)}\n`;
}

/** A coordinate with at most two decimals: finer is invisible and doubles the size of the file. */
export function coordinate(value: number): string {
  if (!Number.isFinite(value)) throw new RangeError(`svg: coordinate must be finite, got ${value}`);
  const rounded = Math.round(value * 100) / 100;
  return String(rounded === 0 ? 0 : rounded);
}

/** Width of `content` in pixels at `fontSize`, estimated for a common sans-serif face, on the generous side. */
export function textWidth(content: string, fontSize: number): number {
  let ems = 0;
  for (const character of content) ems += characterWidth(character);
  return ems * fontSize;
}

function characterWidth(character: string): number {
  if (" .,:;|!ijlI'()[]".includes(character)) return 0.36;
  if ('mwMW%'.includes(character)) return 0.92;
  if (character >= 'A' && character <= 'Z') return 0.7;
  return (character.codePointAt(0) ?? 0) > 0x2e80 ? 1 : 0.61;
}
