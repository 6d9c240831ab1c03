/** From the bytes a model streams to text that any terminal may be given. */

/**
 * Valid UTF-8 without control characters, as the bytes come: an incomplete character is held back until it is complete or
 * known to be broken, what is broken becomes U+FFFD, and control characters other than newline and tab become visible
 * pictures, so that no byte of a model can move the cursor or recolour a terminal.
 */
export class TerminalText {
  private readonly decoder = new TextDecoder('utf-8', { ignoreBOM: true });

  /** The text that is complete with these bytes; possibly empty. */
  push(bytes: Uint8Array): string {
    return withoutControls(this.decoder.decode(bytes, { stream: true }));
  }

  /** What was held back at the end of the stream. */
  end(): string {
    return withoutControls(this.decoder.decode());
  }
}

const CONTROLS = /(?![\n\t])\p{Cc}/gu;
const FIRST_PICTURE = 0x2400;
const PICTURE_OF_DELETE = 0x2421;

function withoutControls(text: string): string {
  return text.replace(CONTROLS, (control) => {
    const code = control.charCodeAt(0);
    if (code < 0x20) return String.fromCharCode(FIRST_PICTURE + code);
    return code === 0x7f ? String.fromCharCode(PICTURE_OF_DELETE) : '\uFFFD';
  });
}
