/**
 * Where the token that was just made looked: a bar for each compressed chunk over the whole past, and one for each token of the window.
 * Heights are shares of the mean over layers and heads, or of one layer.
 */
import type { TokenAttention } from '@transformer-ls/runtime';
import { useEffect, useRef } from 'preact/hooks';
import { formatInteger, formatShare } from './text.js';

export interface StripProps {
  readonly attention: TokenAttention | null;
  /** From 0; null: the mean over all. */
  readonly layer: number | null;
  /** Tokens that the model has been fed. */
  readonly tokens: number;
  readonly chunkSize: number;
  readonly rank: number;
}

/** Pixels. */
const HEIGHT = 96;
const GAP = 12;

export function AttentionStrip(props: StripProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const shares = sharesOf(props);
  useEffect(() => {
    if (canvas.current !== null) draw(canvas.current, shares);
  });
  return (
    <figure class="strip">
      <canvas
        ref={canvas}
        height={HEIGHT}
        role="img"
        aria-label={`Where the last token looked: ${strongestText(shares)}`}
      />
      <figcaption class="legend">
        <span class="key chunk">
          chunks of {props.chunkSize} tokens, {formatInteger(shares.chunks.length)} in memory:{' '}
          {formatShare(shares.ofChunks)}
        </span>
        <span class="key window">
          last {formatInteger(shares.window.length)} tokens: {formatShare(shares.ofWindow)}
        </span>
        <span class="quiet">{strongestText(shares)}</span>
      </figcaption>
    </figure>
  );
}

interface Shares {
  /** The oldest first; only what is there. */
  readonly chunks: Float32Array;
  readonly window: Float32Array;
  readonly ofChunks: number;
  readonly ofWindow: number;
}

function sharesOf({ attention, layer, tokens, chunkSize, rank }: StripProps): Shares {
  const chunkCount = Math.floor(Math.max(0, tokens - 1) / chunkSize);
  const slots = attention === null ? new Float32Array() : meanOf(attention.chunks, attention.layers, layer);
  const present = slots.subarray(Math.max(0, slots.length - chunkCount * rank));
  const chunks = Float32Array.from({ length: Math.ceil(present.length / rank) }, (_, chunk) =>
    sum(present.subarray(chunk * rank, (chunk + 1) * rank)),
  );
  const all = attention === null ? new Float32Array() : meanOf(attention.window, attention.layers, layer);
  const window = all.subarray(Math.max(0, all.length - tokens));
  return { chunks, window, ofChunks: sum(chunks), ofWindow: sum(window) };
}

/** One layer of (layers, X), or the mean over them. */
function meanOf(values: Float32Array, layers: number, layer: number | null): Float32Array {
  const length = values.length / layers;
  if (layer !== null) return values.subarray(layer * length, (layer + 1) * length);
  const mean = new Float32Array(length);
  for (let i = 0; i < values.length; i++) mean[i % length]! += values[i]! / layers;
  return mean;
}

function sum(values: Float32Array): number {
  return values.reduce((a, b) => a + b, 0);
}

function strongestText({ window, chunks }: Shares): string {
  if (window.length === 0) return '';
  const back = window.length - 1 - indexOfLargest(window);
  const near = back === 0 ? 'itself' : `${back} back`;
  if (chunks.length === 0) return `most from ${near}`;
  const chunk = chunks.length - 1 - indexOfLargest(chunks);
  return `most from ${near}, and from chunk ${chunk === 0 ? 'just before' : `${chunk + 1} back`}`;
}

function indexOfLargest(values: Float32Array): number {
  return values.reduce((best, value, i) => (value > values[best]! ? i : best), 0);
}

/** Both halves share the width by what they hold, each at least a quarter. */
function draw(canvas: HTMLCanvasElement, { chunks, window }: Shares): void {
  const scale = devicePixelRatio || 1;
  const width = canvas.clientWidth;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(HEIGHT * scale);
  const context = canvas.getContext('2d');
  if (context === null || width === 0) return;
  context.scale(scale, scale);
  const colours = getComputedStyle(canvas);
  const split = chunks.length === 0 ? 0 : (width - GAP) / 2;
  bars(context, chunks, 0, split, colours.getPropertyValue('--chunk'));
  const start = chunks.length === 0 ? 0 : split + GAP;
  bars(context, window, start, width - start, colours.getPropertyValue('--window'));
  context.fillStyle = colours.getPropertyValue('--line');
  context.fillRect(0, HEIGHT - 1, width, 1);
}

/** The square root of the shares: small ones can still be seen. */
function bars(
  context: CanvasRenderingContext2D,
  shares: Float32Array,
  left: number,
  width: number,
  colour: string,
): void {
  const step = width / Math.max(1, shares.length);
  context.fillStyle = colour;
  for (const [i, share] of shares.entries()) {
    const height = Math.sqrt(Math.min(1, share)) * (HEIGHT - 2);
    context.fillRect(left + i * step, HEIGHT - 1 - height, Math.max(0.5, step - (step > 3 ? 1 : 0)), height);
  }
}
