/**
 * Peak memory of a training step: this package beside Python's torch, on the same libtorch. A small transformer written with
 * the same operators on both sides; each side runs in a fresh process and says how far its resident peak (VmHWM) rose
 * above what it held before the first step. Ours also says the peak of libtorch's own allocations.
 *
 *   TORCH_PYTHON=<python with torch 2.x> npm run bench -- peak-memory [--rounds 5] [--sizes 2] [--out <results file>]
 *
 * `--sizes 1` measures the first of the two models only.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const SIZES = [
  { layers: 4, width: 128, heads: 4, batch: 4, length: 256, steps: 4 },
  { layers: 8, width: 256, heads: 4, batch: 4, length: 512, steps: 3 },
];

function resident(field) {
  const found = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync('/proc/self/status', 'utf8'));
  return Number(found[1]) * 1024;
}

/** With `scoped`, each block has a scope of its own; without, all temporaries live until the step ends. */
async function measure({ layers, width, heads, batch, length, steps, scoped }) {
  const torch = await import('../packages/torch/dist/index.js');
  const { layerNorm, linear, noGrad, randn, scope } = torch;
  torch.setNumThreads(1);
  torch.manualSeed(0);
  const parameter = (...shape) => {
    const made = randn(shape).mul_(0.02);
    made.requiresGrad = true;
    return made;
  };
  const blocks = Array.from({ length: layers }, () => [
    parameter(3 * width, width),
    parameter(width, width),
    parameter(4 * width, width),
    parameter(width, 4 * width),
  ]);
  const block = (x, [qkv, out, up, down]) => {
    const [batch, length] = x.shape;
    const [q, k, v] = linear(layerNorm(x, [width]), qkv)
      .view([batch, length, 3, heads, width / heads])
      .permute([2, 0, 3, 1, 4])
      .unbind(0);
    const scores = q.matmul(k.transpose(2, 3)).mul((width / heads) ** -0.5);
    const mixed = scores.softmax(-1).matmul(v).transpose(1, 2).reshape([batch, length, width]);
    const y = x.add(linear(mixed, out));
    return y.add(linear(linear(layerNorm(y, [width]), up).gelu(), down));
  };
  const step = (batch, length) =>
    scope(() => {
      const loss = scope(() => {
        let x = randn([batch, length, width]);
        for (const weights of blocks) {
          const input = x;
          x = scoped ? scope(() => block(input, weights)) : block(input, weights);
          if (scoped) input.dispose();
        }
        return x.square().mean();
      });
      loss.backward();
      noGrad(() => {
        for (const weight of blocks.flat())
          scope(() => {
            weight.sub_(weight.grad, 0.1);
            weight.grad = null;
          });
      });
      return loss.item();
    });
  step(1, 8); // loads the code and fills the caches that are no part of the question
  const before = resident('VmRSS');
  const held = torch.memoryStats().allocatedBytes;
  torch.resetPeakMemory();
  let loss = 0;
  for (let i = 0; i < steps; i++) loss = step(batch, length);
  const peakGrowth = resident('VmHWM') - before;
  const allocated = torch.memoryStats().peakAllocatedBytes - held;
  console.log(JSON.stringify({ peakGrowth, allocated, loss, version: torch.buildInfo().version }));
}

const run = (command, args) => JSON.parse(execFileSync(command, args, { encoding: 'utf8' }));
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const mib = (bytes) => (bytes / 2 ** 20).toFixed(1);

function compare({ rounds, sizes, python, out }) {
  const lines = [];
  const say = (line) => {
    console.log(line);
    lines.push(line);
  };
  const self = fileURLToPath(import.meta.url);
  const twin = fileURLToPath(new URL('./peak-memory.py', import.meta.url));
  say(`${cpus()[0].model}, Node ${process.version}; MiB, medians of ${rounds} alternating runs\n`);
  say('| step | ours, scope per block | ours, one scope | Python | ratio | allocated by libtorch (ours) |');
  say('| --- | ---: | ---: | ---: | ---: | ---: |');
  for (const size of SIZES.slice(0, sizes)) {
    const found = { scoped: [], plain: [], python: [], allocated: [] };
    for (let round = 0; round < rounds; round++) {
      const ours = run(process.execPath, [self, '--side', JSON.stringify({ ...size, scoped: true })]);
      const theirs = run(python, [twin, JSON.stringify({ ...size, scoped: true })]);
      const plain = run(process.execPath, [self, '--side', JSON.stringify({ ...size, scoped: false })]);
      found.scoped.push(ours.peakGrowth);
      found.allocated.push(ours.allocated);
      found.python.push(theirs.peakGrowth);
      found.plain.push(plain.peakGrowth);
    }
    const [scoped, plain, theirs, allocated] = ['scoped', 'plain', 'python', 'allocated'].map((key) =>
      median(found[key]),
    );
    const { layers, width, batch, length } = size;
    const cells = [mib(scoped), mib(plain), mib(theirs), (scoped / theirs).toFixed(2), mib(allocated)];
    say(`| ${layers} layers, width ${width}, ${batch} x ${length} | ${cells.join(' | ')} |`);
  }
  if (out) writeFileSync(out, `# Peak memory of a training step\n\n${lines.join('\n')}\n`);
}

const { values } = parseArgs({
  options: {
    side: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    sizes: { type: 'string', default: String(SIZES.length) },
    out: { type: 'string' },
  },
});
if (values.side !== undefined) await measure(JSON.parse(values.side));
else if (!process.env.TORCH_PYTHON) {
  console.error('peak-memory: set TORCH_PYTHON to a Python whose torch the bridge was built for');
  process.exitCode = 1;
} else
  compare({
    rounds: Number(values.rounds),
    sizes: Number(values.sizes),
    python: process.env.TORCH_PYTHON,
    out: values.out,
  });
