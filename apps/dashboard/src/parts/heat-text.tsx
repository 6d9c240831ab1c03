/** A text whose parts are the darker the more they weigh. */

export interface HeatPart {
  readonly text: string;
  /** From 0 to 1; from 0 to -1 for what speaks against. */
  readonly weight: number;
  /** Said of it where it is pointed at. */
  readonly title: string;
}

export function HeatText({ parts }: { readonly parts: readonly HeatPart[] }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section class="heat-text" tabIndex={0} aria-label="The document, darker where more was looked">
      {parts.map(({ text, weight, title }, i) => (
        <span
          key={i}
          class={weight < 0 ? 'against' : 'for'}
          style={{ '--heat': Math.abs(weight).toFixed(3) }}
          title={title}
        >
          {text}
        </span>
      ))}
    </section>
  );
}
