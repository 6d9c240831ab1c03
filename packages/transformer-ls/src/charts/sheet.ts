/** A page that is filled from top to bottom. */
import { text, textWidth } from './svg.js';

export const EDGE = 24;

export class Sheet {
  readonly parts: string[] = [];
  /** Where the next thing goes, in pixels. */
  y = EDGE;

  constructor(readonly width: number) {}

  /** @param draw markup of something `height` pixels high, its top at the y that is given */
  place(height: number, draw: (y: number) => string): void {
    this.parts.push(draw(this.y));
    this.y += height;
  }

  title(content: string): void {
    this.place(26, (y) => text(this.fitted(content, 16), { class: 'tls-title', x: EDGE, y: y + 16 }));
  }

  /** A heading, and below it what it means. */
  heading(content: string, meaning: string): void {
    this.y += 22;
    this.place(22, (y) =>
      text(content, { class: 'tls-ink', x: EDGE, y: y + 14, 'font-size': 14, 'font-weight': 600 }),
    );
    for (const line of wrapped(meaning, this.width - 2 * EDGE)) this.line(line);
    this.y += 4;
  }

  /** What stands above one head's part. */
  headOf(head: number, note: string): void {
    this.y += 8;
    const name = `Head ${head + 1}`;
    this.place(20, (y) =>
      [
        text(name, { class: 'tls-ink', x: EDGE, y: y + 13, 'font-weight': 600 }),
        text(note, { class: 'tls-muted', x: EDGE + textWidth(name, FONT) + 12, y: y + 13 }),
      ].join(''),
    );
  }

  line(content: string): void {
    this.place(17, (y) => text(this.fitted(content, FONT), { class: 'tls-muted', x: EDGE, y: y + 12 }));
  }

  private fitted(content: string, fontSize: number): string {
    const most = this.width - 2 * EDGE;
    if (textWidth(content, fontSize) <= most) return content;
    let shown = [...content];
    while (shown.length > 0 && textWidth(`${shown.join('')}…`, fontSize) > most) shown = shown.slice(0, -1);
    return `${shown.join('')}…`;
  }
}

export const FONT = 12;

/** Lines of whole words that are at most so wide. */
function wrapped(content: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of content.split(' ')) {
    const longer = lines.length === 0 ? word : `${lines.at(-1)} ${word}`;
    if (lines.length > 0 && textWidth(longer, FONT) <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}
