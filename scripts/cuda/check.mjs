/**
 * The CUDA kernels of attention beside float64 on the CPU: operators by themselves (masks, biases, dropout, odd sizes), then whole
 * layers beside the composed path in the same type, whose error the fused one may double at most. Each runs twice: the same bits.
 *
 *   node scripts/cuda/check.mjs [--few]
 *
 * Shape letters: B batch, L tokens, N heads, H head size, C shared keys, R slots.
 */
import { makeLayer, randomInputs } from '../../benches/attention-layer.layers.mjs';
import * as torch from '../../packages/torch/dist/index.js';

const { randn, rand, scope, operator, gradients } = torch;
const types = ['float32', 'float16', 'bfloat16'];
/** Relative errors that rounding explains, of operators; and of layers beside twice the composed path's. */
const allowed = { float32: 2e-5, float16: 5e-3, bfloat16: 4e-2 };
const slack = { float32: 2e-6, float16: 5e-4, bfloat16: 4e-3 };
const few = process.argv.includes('--few');

const equal = operator('aten::equal');
const size = (x) => (x.numel === 0 ? 0 : Math.sqrt(x.square().mean().item()));
const exactly = (x) => x.detach().to({ device: 'cpu', dtype: 'float64' });
let failures = 0;

function report(name, good, text) {
  if (!good) failures += 1;
  console.log(`${good ? 'ok  ' : 'FAIL'} ${name}: ${text}`);
}

/** Errors relative to the size of the numbers; of those that are nearly 0, to a tenth of the largest ones' size. */
function errors(found, exact) {
  const least = 0.1 * Math.max(...exact.map(size));
  return found.map((one, i) => size(exactly(one).sub(exact[i])) / Math.max(least, size(exact[i])));
}

const same = (a, b) => a.every((one, i) => equal(one, b[i]));

// ---- operators -------------------------------------------------------------------------------------------------------------

/** Outputs and gradients of `run(inputs)`, on a device and in a type; null stays null. */
function resultsOf(run, inputs, directions, to) {
  const leaves = inputs.map((input) => {
    if (input === null) return null;
    const leaf = input.to(to).clone();
    leaf.requiresGrad = true;
    return leaf;
  });
  const outputs = [run(leaves)].flat();
  const wanted = leaves.filter((leaf) => leaf !== null);
  const gradOutputs = directions(outputs).map((one) => one.to(to));
  return [...outputs, ...gradients(outputs, wanted, { gradOutputs, allowUnused: true })].filter(Boolean);
}

function checkOperator(name, inputs, run) {
  let made;
  const directions = (outputs) => {
    made ??= outputs.map((one) => randn(one.shape));
    return made;
  };
  for (const dtype of types)
    scope(() => {
      // What rounding makes of the inputs is no error of the operator.
      const rounded = inputs.map((one) => one?.to(dtype) ?? null);
      const exact = resultsOf(run('cpu'), rounded, directions, { device: 'cpu', dtype: 'float64' });
      const onCuda = () => resultsOf(run('cuda'), rounded, directions, { device: 'cuda', dtype });
      const found = onCuda();
      const worst = Math.max(...errors(found, exact));
      const repeated = same(found, onCuda());
      const good = worst <= allowed[dtype] && repeated;
      report(
        `${name}, ${dtype}`,
        good,
        `error ${worst.toExponential(1)}${repeated ? '' : ', other bits when repeated'}`,
      );
    });
}

function windowCase({
  B = 2,
  N = 2,
  H,
  grid,
  window,
  reach,
  C,
  biased = false,
  masked = false,
  dropout = 0,
}) {
  const L = grid[0] * grid[1];
  const S = window[0] * window[1];
  const Y = (window[0] + 2 * reach[0]) * (window[1] + 2 * reach[1]);
  const tokens = () => randn([B, L, N, H]);
  const shared = () => (C === 0 ? null : randn([B, C, N, H]));
  const visible = masked ? rand([B, L]).gt(0.3) : null;
  const op = operator('tls::window_attention');
  const run = (device) => (inputs) =>
    op(...inputs, visible?.to({ device }) ?? null, grid, window, reach, 1 / Math.sqrt(H), dropout, 1234);
  const name = `windows, H ${H}, grid ${grid}, window ${window}, C ${C}${biased ? ', bias' : ''}${masked ? ', mask' : ''}${dropout ? ', dropout' : ''}`;
  checkOperator(
    name,
    [tokens(), tokens(), tokens(), shared(), shared(), biased ? randn([N, S, Y]) : null],
    run,
  );
}

function causalCase({ B = 2, N = 2, H, T, before, window, chunks, dropout = 0 }) {
  const [, rank, , remembered, reach] = chunks;
  const C = (remembered + Math.floor((chunks[2] + T - 1) / chunks[0])) * rank;
  const row = (...sizes) => randn([...sizes, N, H]);
  const op = operator('tls::causal_attention');
  const run = () => (inputs) => op(...inputs, window, chunks, 1 / Math.sqrt(H), dropout, 99);
  const slots = C > 0;
  checkOperator(
    `causal, H ${H}, T ${T} after ${before}, W ${window}, chunks ${chunks}${dropout ? ', dropout' : ''}`,
    [
      row(B, T),
      row(B, before + T),
      row(B, before + T),
      row(),
      row(),
      row(window),
      slots ? row(B, C) : null,
      slots ? row(B, C) : null,
      slots ? row(Math.min(reach, C)) : null,
    ],
    run,
  );
}

function poolCase({ B = 2, N = 2, H, L, R, masked = false }) {
  const op = operator('tls::pool_tokens');
  const visible = masked ? rand([B, L]).gt(0.3) : null;
  const run = (device) => (inputs) => op(...inputs, visible?.to({ device }) ?? null);
  checkOperator(
    `pool, H ${H}, L ${L}, R ${R}${masked ? ', mask' : ''}`,
    [randn([B, L, N, R]), randn([B, L, N, H]), randn([B, L, N, H])],
    run,
  );
}

function checkOperators() {
  windowCase({ H: 20, grid: [1, 70], window: [1, 8], reach: [0, 4], C: 9, masked: true });
  causalCase({ H: 32, T: 70, before: 30, window: 40, chunks: [16, 1, 5, 2, 100] });
  poolCase({ H: 20, L: 130, R: 33, masked: true });
  if (few) return;
  windowCase({ H: 64, grid: [1, 3000], window: [1, 100], reach: [0, 50], C: 256, dropout: 0.2 });
  windowCase({ H: 32, grid: [20, 17], window: [7, 7], reach: [3, 3], C: 65, biased: true, dropout: 0.1 });
  windowCase({ H: 8, grid: [9, 8], window: [2, 2], reach: [1, 1], C: 0, biased: true, masked: true });
  windowCase({ H: 64, grid: [1, 500], window: [0, 0], reach: [0, 0], C: 300, masked: true });
  causalCase({ H: 64, T: 1000, before: 511, window: 512, chunks: [16, 1, 3, 128, 4000] });
  causalCase({ H: 20, T: 333, before: 0, window: 50, chunks: [1, 3, 0, 40, 200], dropout: 0.2 });
  causalCase({ H: 5, T: 130, before: 7, window: 137, chunks: [100, 2, 99, 1, 3] });
  poolCase({ H: 64, L: 5000, R: 32 });
  poolCase({ H: 64, L: 100, R: 200, masked: true });
}

// ---- layers ----------------------------------------------------------------------------------------------------------------

const layers = [
  {
    kind: 'bidirectional',
    what: 'bidirectional, D 128, w 8, r 32',
    modelDim: 128,
    heads: 2,
    windowSize: 8,
    projectionRank: 32,
    batch: 2,
    tokens: 1024,
  },
  {
    kind: 'causal',
    what: 'causal, D 256, w 128, c 16',
    modelDim: 256,
    heads: 4,
    windowSize: 128,
    chunkSize: 16,
    projectionRank: 1,
    batch: 2,
    tokens: 1024,
  },
  {
    kind: 'grid',
    what: 'grid, D 96, w 7, 28 x 28',
    modelDim: 96,
    heads: 3,
    windowSize: 7,
    projectionRank: 8,
    side: 28,
    batch: 2,
    tokens: 785,
  },
];

function checkLayer(layerCase) {
  const { what } = layerCase;
  const { layer, run } = makeLayer(layerCase);
  const { x, direction, ...others } = randomInputs(layerCase);
  const results = (to, fused, within = (act) => act()) => {
    torch.setFusedOperators(fused);
    layer.to(to);
    const leaf = x.to(to).clone();
    leaf.requiresGrad = true;
    const rest = Object.fromEntries(Object.entries(others).map(([name, one]) => [name, one.to(to)]));
    const output = within(() => run({ x: leaf, ...rest }));
    const wanted = [leaf, ...layer.parameters()];
    const found = gradients([output], wanted, {
      gradOutputs: [direction.to({ ...to, dtype: output.dtype })],
      allowUnused: true,
    });
    return [output, ...found.filter(Boolean)].map((one) => one.detach());
  };
  const exact = results({ device: 'cpu', dtype: 'float64' }, false).map(exactly);
  const compare = (name, dtype, to, within) => {
    const composed = errors(results(to, false, within), exact);
    const found = results(to, true, within);
    const fused = errors(found, exact);
    const repeated = same(found, results(to, true, within));
    const bad = fused.some((error, i) => !(error <= 2 * composed[i] + slack[dtype]));
    const text = `error ${Math.max(...fused).toExponential(1)}, composed ${Math.max(...composed).toExponential(1)}`;
    report(name, !bad && repeated, `${text}${repeated ? '' : ', other bits when repeated'}`);
  };
  for (const dtype of types) scope(() => compare(`${what}, ${dtype}`, dtype, { device: 'cuda', dtype }));
  const mixed = (act) => torch.autocast('cuda', 'bfloat16', act);
  scope(() => compare(`${what}, autocast bfloat16`, 'bfloat16', { device: 'cuda', dtype: 'float32' }, mixed));
  scope(() => {
    torch.setFusedOperators(true);
    const { ops } = torch.recordOps(() =>
      mixed(() =>
        run(
          Object.fromEntries(
            Object.entries({ x, ...others }).map(([name, one]) => [name, one.to({ device: 'cuda' })]),
          ),
        ),
      ),
    );
    report(
      `${what}, autocast`,
      ops.some(({ name }) => /tls::(window|causal)_attention/.test(name)),
      'takes the fused operator',
    );
  });
}

torch.manualSeed(1);
scope(checkOperators);
if (!few) for (const layerCase of layers) scope(() => checkLayer(layerCase));
console.log(failures === 0 ? 'all as they should be' : `${failures} failed`);
process.exitCode = failures === 0 ? 0 : 1;
