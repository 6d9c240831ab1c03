/**
 * What one call of an operator costs: this package beside Python's torch, on the same libtorch, on tensors so small that
 * the arithmetic costs next to nothing.
 *
 *   TORCH_PYTHON=<python with torch 2.x> npm run bench -- call-cost [--rounds 21] [--calls 20000] [--out <results file>]
 *
 * Both sides run as child processes and take turns, round by round, so that a busy moment of the machine meets both.
 * The numbers are medians over the rounds. Needs `npm run setup` with the same TORCH_PYTHON, and `npm run build`.
 */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const CASES = [
  'add',
  'mul',
  'add scalar',
  'transpose',
  'view',
  'matmul',
  'sum',
  'cat',
  'layer_norm',
  'softmax',
];

// ---- the JavaScript side ---------------------------------------------------------------------------------------

async function serve() {
  const torch = await import('../packages/torch/dist/index.js');
  torch.setNumThreads(1);
  const a = torch.ones([2, 2]);
  const b = torch.full([2, 2], 2);
  const weight = torch.ones([2]);
  const bias = torch.zeros([2]);
  const cases = {
    add: () => a.add(b),
    mul: () => a.mul(b),
    'add scalar': () => a.add(1),
    transpose: () => a.transpose(0, 1),
    view: () => a.view([4]),
    matmul: () => a.matmul(b),
    sum: () => a.sum(),
    cat: () => torch.cat([a, b], 0),
    layer_norm: () => torch.layerNorm(a, [2], weight, bias),
    softmax: () => a.softmax(-1),
  };
  const scoped = (run, calls) => {
    for (let done = 0; done < calls; done += 100)
      torch.scope(() => {
        for (let i = 0; i < 100; i++) run();
      });
  };
  const disposed = (run, calls) => {
    for (let i = 0; i < calls; i++) run().dispose();
  };
  console.log(`torch ${torch.buildInfo().version}, Node ${process.version}`);
  for await (const line of createInterface({ input: process.stdin })) {
    const [, style, name, calls] = /^(scoped|disposed) (.*) (\d+)$/.exec(line);
    const loop = style === 'scoped' ? scoped : disposed;
    const start = process.hrtime.bigint();
    loop(cases[name], Number(calls));
    console.log(Number(process.hrtime.bigint() - start) / Number(calls));
  }
}

// ---- taking turns ----------------------------------------------------------------------------------------------

function startSide(command, args) {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    read: async () => {
      const { value, done } = await answers.next();
      if (done) throw new Error(`${command} ended before it answered`);
      return value;
    },
    write: (line) => child.stdin.write(`${line}\n`),
    end: () => child.stdin.end(),
  };
}

const median = (values) => [...values].sort((x, y) => x - y)[Math.floor(values.length / 2)];

async function main({ rounds, calls, python, out }) {
  const lines = [];
  const say = (line) => {
    console.log(line);
    lines.push(line);
  };
  const js = startSide(process.execPath, [fileURLToPath(import.meta.url), '--side']);
  const py = startSide(python, [fileURLToPath(new URL('./call-cost.py', import.meta.url))]);
  say(`${cpus()[0].model}; ours: ${await js.read()}; Python's: ${await py.read()}`);
  say(`nanoseconds per call, medians of ${rounds} alternating rounds of ${calls} calls\n`);
  say('| operator | in a scope | unscoped + dispose | Python | scope / Python |');
  say('| --- | ---: | ---: | ---: | ---: |');
  for (const name of CASES) {
    const times = { scoped: [], disposed: [], python: [] };
    for (let round = -2; round < rounds; round++) {
      const seen = {};
      for (const [side, line, key] of [
        [js, `scoped ${name} ${calls}`, 'scoped'],
        [py, `${name} ${calls}`, 'python'],
        [js, `disposed ${name} ${calls}`, 'disposed'],
      ]) {
        side.write(line);
        seen[key] = Number(await side.read());
      }
      if (round >= 0) for (const key of Object.keys(times)) times[key].push(seen[key]);
    }
    const [scoped, disposed, theirs] = ['scoped', 'disposed', 'python'].map((key) => median(times[key]));
    const cells = [scoped, disposed, theirs].map((ns) => ns.toFixed(0));
    say(`| ${name} | ${cells.join(' | ')} | ${(scoped / theirs).toFixed(2)} |`);
  }
  js.end();
  py.end();
  if (out) writeFileSync(out, `# What one call costs\n\n${lines.join('\n')}\n`);
}

const { values } = parseArgs({
  options: {
    side: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '21' },
    calls: { type: 'string', default: '20000' },
    out: { type: 'string' },
  },
});
if (values.side) await serve();
else if (!process.env.TORCH_PYTHON) {
  console.error('call-cost: set TORCH_PYTHON to a Python whose torch the bridge was built for');
  process.exitCode = 1;
} else
  await main({
    rounds: Number(values.rounds),
    calls: Number(values.calls),
    python: process.env.TORCH_PYTHON,
    out: values.out,
  });
