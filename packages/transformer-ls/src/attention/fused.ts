/**
 * The fused operators of attention (`packages/torch/native/kernels/attention/`), and whether they are used.
 *
 * The composed path is what they answer to, what an export records, and what other devices and types take.
 *
 * Shape letters: B batch, L tokens, N heads, H head size, D = N*H, R slots, C shared keys, S queries of a segment, Y keys that a segment
 * sees.
 */
import {
  fusedOperatorsWanted,
  type LayerNorm,
  type Linear,
  operator,
  randint,
  type ShardedSequence,
  scope,
  type Tensor,
} from '@transformer-ls/torch';

const available = operator<(like: Tensor, headSize: number) => boolean>('tls::available');

/**
 * Whether the fused operators are to be used, and exist for the device and type of `like` and of what is computed of it: on the CPU
 * float32 and float64 outside autocast, on CUDA, where the bridge was built with its kernels, float32, bfloat16 and float16,
 * also under autocast.
 */
export function attentionFused(like: Tensor, headSize: number): boolean {
  return fusedOperatorsWanted() && available(like, headSize);
}

/** (B, L, N*X) → (B, L, N, X), a view. */
export function asHeads(x: Tensor, heads: number): Tensor {
  return x.unflatten(2, [heads, x.size(2) / heads]);
}

/** Probability of dropping a weight, 0 outside training, and what decides which: drawn from the generator of the CPU. */
export interface WeightDropout {
  readonly probability: number;
  readonly seed: number;
}

export function weightDropout(probability: number, training: boolean): WeightDropout {
  if (!training || probability === 0) return { probability: 0, seed: 0 };
  return { probability, seed: scope(() => randint(0, 2 ** 48, [1]).item() as number) };
}

export interface WindowAttentionInput {
  /** (B, L, N, H) each. */
  readonly query: Tensor;
  readonly keys: Tensor;
  readonly values: Tensor;
  /** Keys and values (B, C, N, H) that every query sees; null: none. */
  readonly shared: { readonly keys: Tensor; readonly values: Tensor } | null;
  /** Added to the scores of a segment, (N, S, Y). */
  readonly bias: Tensor | null;
  /** (B, L) bool: others are no keys, and their results are 0; null: all. */
  readonly visible: Tensor | null;
  /** Rows and columns of the tokens; of a segment; seen beyond a segment on each side. A window of [0, 0]: the shared keys alone. */
  readonly grid: readonly [number, number];
  readonly window: readonly [number, number];
  readonly reach: readonly [number, number];
  /** Factor of the queries. */
  readonly scale: number;
  readonly dropout: WeightDropout;
}

type WindowAttention = (
  query: Tensor,
  key: Tensor,
  value: Tensor,
  sharedKey: Tensor | null,
  sharedValue: Tensor | null,
  bias: Tensor | null,
  visible: Tensor | null,
  grid: readonly number[],
  window: readonly number[],
  reach: readonly number[],
  scale: number,
  dropout: number,
  seed: number,
) => Tensor;

const windowOperator = operator<WindowAttention>('tls::window_attention');

/** Queries of a segment see the segment, what is around it and the shared keys, under one softmax. (B, L, N, H). */
export function windowAttention(input: WindowAttentionInput): Tensor {
  const { query, keys, values, shared, bias, visible, grid, window, reach, scale, dropout } = input;
  return windowOperator(
    query,
    keys,
    values,
    shared?.keys ?? null,
    shared?.values ?? null,
    bias,
    visible,
    grid,
    window,
    reach,
    scale,
    dropout.probability,
    dropout.seed,
  );
}

const poolOperator =
  operator<
    (logits: Tensor, keys: Tensor, values: Tensor, visible: Tensor | null) => readonly [Tensor, Tensor]
  >('tls::pool_tokens');

/**
 * The dynamic projection: means of all tokens by weights that are a softmax over the tokens.
 *
 * @param logits (B, L, N, R)
 * @param keys (B, L, N, H), as the values
 * @param visible (B, L) bool, null: all
 * @returns keys and values of the slots, (B, R, N, H) each; 0 where no token is visible
 */
export function poolTokens(
  logits: Tensor,
  keys: Tensor,
  values: Tensor,
  visible: Tensor | null,
): { readonly keys: Tensor; readonly values: Tensor } {
  const [pooledKeys, pooledValues] = poolOperator(logits, keys, values, visible);
  return { keys: pooledKeys, values: pooledValues };
}

export interface BidirectionalLayerInput {
  /** (B, L, D) */
  readonly x: Tensor;
  /** Of queries, keys, values, logits (D to N*R) and of the result. */
  readonly maps: readonly [Linear, Linear, Linear, Linear, Linear];
  /** Of all keys and values, and of the pooled ones. */
  readonly norms: readonly [LayerNorm, LayerNorm];
  /** (B, L) bool: others are no keys, and attend to nothing; null: all. */
  readonly visible: Tensor | null;
  readonly heads: number;
  /** Tokens of a segment, and those on either side that it sees. */
  readonly window: number;
  readonly reach: number;
  /** Factor of the queries. */
  readonly scale: number;
  readonly dropout: WeightDropout;
  readonly keeps: KeptProjections;
  /** Where x is a stretch of this, with tokens around it: which of them are compressed, and with whose. */
  readonly spread?: { readonly sequence: ShardedSequence; readonly pooled: Tensor | null } | null;
}

/** What a layer keeps for its backward pass of all keys and values; the rest is computed again: less memory, more time, the same bits. */
export type KeptProjections = 'keys and values' | 'keys' | 'nothing';

const bidirectionalLayerOperator =
  operator<
    (
      x: Tensor,
      weights: readonly Tensor[],
      biases: readonly (Tensor | null)[],
      norms: readonly (Tensor | null)[],
      visible: Tensor | null,
      heads: number,
      window: number,
      reach: number,
      epsilons: readonly number[],
      scale: number,
      dropout: number,
      seed: number,
      keepKeys: boolean,
      keepValues: boolean,
      pooled: Tensor | null,
      group: number,
    ) => Tensor
  >('tls::bidirectional_layer');

/** A whole layer in two sweeps over the tokens; queries, logits and what attention gives are never all in memory. (B, L, D). */
export function bidirectionalLayer(input: BidirectionalLayerInput): Tensor {
  const { spread = null } = input;
  if (spread === null) return layerInGroup(input, null, ALONE);
  const { sequence, pooled } = spread;
  return sequence.exchanging('projection of a sequence', () =>
    layerInGroup(input, pooled, sequence.group.handle),
  );
}

/** In place of the number of a group. */
const ALONE = -1;

function layerInGroup(input: BidirectionalLayerInput, pooled: Tensor | null, group: number): Tensor {
  const { x, maps, norms, visible, heads, window, reach, scale, dropout, keeps } = input;
  return bidirectionalLayerOperator(
    x,
    maps.map(({ weight }) => weight),
    maps.map(({ bias }) => bias),
    norms.flatMap(({ weight, bias }) => [weight, bias]),
    visible,
    heads,
    window,
    reach,
    norms.map(({ epsilon }) => epsilon),
    scale,
    dropout.probability,
    dropout.seed,
    keeps !== 'nothing',
    keeps === 'keys and values',
    pooled,
    group,
  );
}
