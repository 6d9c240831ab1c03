/**
 * Times of attention on CUDA: the layers of benches/attention-layer, fused beside composed, PyTorch's own attention for scale, and a training
 * step of enwik8-base in bfloat16. Rates are of the products that attention needs, beside the rate of one large product.
 *
 *   node scripts/cuda/time.mjs times.json
 *
 * Shape letters: B batch, L tokens, N heads, H head size, D width, W window, c chunk size.
 */
import { writeFileSync } from 'node:fs';
import { CASES } from '../../benches/attention-layer.cases.mjs';
import { makeLayer, randomInputs } from '../../benches/attention-layer.layers.mjs';
import { CASES as STEPS } from '../../benches/training-step.cases.mjs';
import * as torch from '../../packages/torch/dist/index.js';
import { createLanguageModel } from '../../packages/transformer-ls/dist/models/language-model/create.js';
import {
  carryMemory,
  disposeMemory,
} from '../../packages/transformer-ls/dist/models/language-model/memory.js';

const { randn, scope, operator } = torch;
const device = 'cuda';
const rows = [];

/** Milliseconds of a call, the median of several groups of calls after a warm-up. */
function time(act, groups = 7, calls = 5) {
  const group = (count) => {
    torch.synchronize();
    const start = performance.now();
    for (let i = 0; i < count; i++) scope(() => void act());
    torch.synchronize();
    return (performance.now() - start) / count;
  };
  group(calls);
  const times = Array.from({ length: groups }, () => group(calls)).sort((a, b) => a - b);
  return times[(groups - 1) / 2];
}

function note(what, dtype, ms, more = {}) {
  rows.push({ what, dtype, ms, ...more });
  const rest = Object.entries(more).map(([name, value]) => `${name} ${value}`);
  console.log([`${ms.toFixed(3).padStart(9)} ms`, dtype.padEnd(8), what, ...rest].join('  '));
}

/** TFLOP/s. */
function peakOf(dtype, n) {
  const [a, b] = [randn([n, n], { device, dtype }), randn([n, n], { device, dtype })];
  const ms = time(() => a.matmul(b));
  const rate = (2 * n ** 3) / ms / 1e9;
  note(`product of ${n} x ${n}`, dtype, ms, { 'TFLOP/s': rate.toFixed(0) });
  return rate;
}

// ---- operators -------------------------------------------------------------------------------------------------------------

/** Forward, then forward and backward; `products`: multiply-adds of the forward pass, which the backward pass doubles. */
function timeOperator(what, dtype, peak, products, inputs, run) {
  const leaves = inputs.map((one) => {
    one.requiresGrad = true;
    return one;
  });
  const rate = (ms, times) => {
    const teraflops = (2 * products * times) / ms / 1e9;
    return { 'TFLOP/s': teraflops.toFixed(1), '% of the product': ((100 * teraflops) / peak).toFixed(0) };
  };
  const forward = time(() => torch.noGrad(() => run(leaves)));
  note(`${what}, forward`, dtype, forward, rate(forward, 1));
  const both = time(() => {
    const outputs = [run(leaves)].flat();
    torch.gradients(outputs, leaves, { gradOutputs: outputs.map((one) => one.detach()) });
  });
  note(`${what}, with backward`, dtype, both, rate(both, 3));
}

function timeOperators(dtype, peak) {
  const [B, N, H] = [4, 8, 64];
  const make = (...sizes) => randn([...sizes, N, H], { device, dtype });
  const L = 4096;
  scope(() => {
    const [w, C] = [64, 32];
    const op = operator('tls::window_attention');
    const run = (inputs) => op(...inputs, null, null, [1, L], [1, w], [0, w / 2], 1 / Math.sqrt(H), 0, 0);
    const inputs = [make(B, L), make(B, L), make(B, L), make(B, C), make(B, C)];
    timeOperator(
      `windows, B ${B}, N ${N}, H ${H}, L ${L}, w ${w}, C ${C}`,
      dtype,
      peak,
      2 * B * N * H * L * (2 * w + C),
      inputs,
      run,
    );
  });
  scope(() => {
    const [W, c, remembered] = [512, 16, 128];
    const C = remembered + Math.floor((L - 1) / c);
    const op = operator('tls::causal_attention');
    const run = (inputs) => op(...inputs, W, [c, 1, 0, remembered, C], 1 / Math.sqrt(H), 0, 0);
    const inputs = [
      make(B, L),
      make(B, W + L),
      make(B, W + L),
      make(),
      make(),
      make(W),
      make(B, C),
      make(B, C),
      make(C),
    ];
    const seen = W + remembered + L / c / 2;
    timeOperator(
      `causal, B ${B}, N ${N}, H ${H}, L ${L}, W ${W}, c ${c}`,
      dtype,
      peak,
      3 * B * N * H * L * seen,
      inputs,
      run,
    );
  });
  scope(() => {
    const R = 32;
    const op = operator('tls::pool_tokens');
    const inputs = [randn([B, L, N, R], { device, dtype }), make(B, L), make(B, L)];
    timeOperator(
      `pool, B ${B}, N ${N}, H ${H}, L ${L}, R ${R}`,
      dtype,
      peak,
      2 * B * N * H * L * R,
      inputs,
      (all) => op(...all, null),
    );
  });
  scope(() => {
    const op = operator('aten::scaled_dot_product_attention');
    const across = () => randn([B, N, L, H], { device, dtype });
    const run = (inputs) => op(...inputs, null, 0, true);
    const what = `PyTorch's scaled_dot_product_attention, causal, B ${B}, N ${N}, H ${H}, L ${L}`;
    timeOperator(what, dtype, peak, B * N * H * L * L, [across(), across(), across()], run);
  });
}

// ---- layers and a training step ----------------------------------------------------------------------------------------------

function timeLayer(layerCase, dtype) {
  const to = { device, dtype };
  const { what } = layerCase;
  const { layer, run } = makeLayer(layerCase);
  layer.to(to);
  const given = Object.entries(randomInputs(layerCase)).map(([name, one]) => [name, one.to(to)]);
  const { x, direction, ...rest } = Object.fromEntries(given);
  const wanted = [x, ...layer.parameters()];
  x.requiresGrad = true;
  const ms = [false, true].map((fused) => {
    torch.setFusedOperators(fused);
    return time(
      () => torch.gradients([run({ x, ...rest })], wanted, { gradOutputs: [direction], allowUnused: true }),
      5,
    );
  });
  note(`layer, ${what}, with backward`, dtype, ms[1], {
    composed: ms[0].toFixed(3),
    'times as fast': (ms[0] / ms[1]).toFixed(2),
  });
}

function timeStep(name, batch, fused) {
  torch.setFusedOperators(fused);
  const { config, segmentLength: T } = STEPS[name];
  torch.manualSeed(0);
  const model = createLanguageModel(config);
  model.to({ device });
  const parameters = model.parameters();
  const optimizer = new torch.AdamW(model.namedParameters(), { learningRate: 1e-4 });
  const ids = torch.randint(0, config.vocabularySize, [batch, T + 1]).to({ device });
  let memory = carryMemory(model.emptyMemory(batch));
  const ms = time(
    () => {
      optimizer.zeroGrad();
      const { loss, next } = torch.autocast(device, 'bfloat16', () => {
        const { logits, memory: after } = model.forward(ids.narrow(1, 0, T), memory);
        const targets = ids.narrow(1, 1, T).reshape([batch * T]);
        return {
          loss: torch.crossEntropy(logits.reshape([batch * T, logits.size(-1)]), targets),
          next: after,
        };
      });
      loss.backward();
      torch.clipGradNorm(parameters, 0.25);
      optimizer.step();
      const carried = carryMemory(next);
      disposeMemory(memory);
      memory = carried;
    },
    3,
    5,
  );
  const rate = Math.round((batch * T) / ms);
  note(
    `training step, ${name}, batch ${batch}, segments of ${T}, ${fused ? 'fused' : 'composed'}`,
    'bf16 mix',
    ms,
    { 'thousand tokens/s': rate },
  );
}

const peaks = {
  bfloat16: scope(() => peakOf('bfloat16', 8192)),
  float32: scope(() => peakOf('float32', 4096)),
};
for (const dtype of ['bfloat16', 'float32']) scope(() => timeOperators(dtype, peaks[dtype]));
for (const dtype of ['bfloat16', 'float32'])
  for (const layerCase of Object.values(CASES)) scope(() => timeLayer(layerCase, dtype));
for (const name of ['consistent/enwik8-base', 'reference/enwik8-base'])
  for (const fused of [false, true]) scope(() => timeStep(name, 8, fused));
writeFileSync(process.argv[2], `${JSON.stringify(rows, null, 2)}\n`);
