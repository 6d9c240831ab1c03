import { type ChildProcess, spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { syntheticBytes } from '../../src/data/synthetic.js';
import { checkXml } from '../charts/check-svg.js';
import { transpileProgram } from '../train/transpiled-program.js';
import { type Ended, ended } from './program.js';

let scratch: string;
let main: string;
const run = 'runs/first';

function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  return spawn(process.execPath, [main, ...args], { cwd: scratch, env: { ...process.env, ...env } });
}

/** Runs a command with nothing on standard input. */
async function command(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  const child = start(args, env);
  child.stdin!.end();
  return ended(child);
}

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'tls commands '));
  main = join(transpileProgram(join(scratch, 'program')), 'main.js');
  writeFileSync(
    join(scratch, 'text.txt'),
    syntheticBytes('pattern', { bytes: 60_000, seed: 1, distance: 100 }),
  );
  const sizes = ['--model', 'debug', '--batch', '2', '--segment', '64', '--set', 'schedule.warmupSteps=2'];
  const { code, error } = await command([
    ...['train', 'text/small', '--from', 'text.txt', ...sizes],
    ...['--steps', '4', '--set', 'evaluateEverySteps=2', '--set', 'evaluateTokens=256', '--out', run],
  ]);
  expect(error).toBe('');
  expect(code).toBe(0);
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe('the command line', () => {
  it.each([
    [[], 2],
    [['--help'], 0],
    [['help'], 0],
    [['evaluate', '--help'], 0],
    [['help', 'generate'], 0],
  ])('%j prints help with examples', async (args, code) => {
    const result = await command(args);
    expect(result.code).toBe(code);
    const help = code === 0 ? result.out : result.error;
    expect(help).toContain('Usage: transformer-ls');
    expect(help).toContain('Examples:');
  });

  it('prints its version', async () => {
    const { version } = JSON.parse(
      readFileSync(join(scratch, 'program/transformer-ls/package.json'), 'utf8'),
    );
    expect(await command(['--version'])).toEqual({ code: 0, out: `${version}\n`, error: '' });
  });

  it('loads nothing native for a help text', async () => {
    // A libtorch that cannot be used makes every command fail that touches it.
    const broken = { TORCH_PYTHON: join(scratch, 'no such python'), LIBTORCH: '' };
    for (const args of [['--help'], ['generate', '--help'], ['evaluate', '--help']])
      expect((await command(args, broken)).code).toBe(0);
    const { code, error } = await command(['generate', run], broken);
    expect(code).toBe(1);
    expect(error).toMatch(/^transformer-ls generate: .*mend it with: npm run setup.*\n$/);
  });

  it.concurrent.each([
    [['evalute'], "transformer-ls: unknown command 'evalute' (Did you mean evaluate?)"],
    [
      ['evaluate', run, '--blok', '3'],
      "transformer-ls evaluate: unknown option '--blok' (Did you mean --block?)",
    ],
    [['evaluate'], "transformer-ls evaluate: missing required argument 'model'"],
    [
      ['evaluate', run, '--split', 'tset'],
      "argument 'tset' is invalid. Allowed choices are train, valid, test.",
    ],
    [['evaluate', run, '--max-tokens', 'many'], "Expected a whole number at least 1, received 'many'."],
    [['generate', run, '--temperature', '-1'], "Expected a number at least 0, received '-1'."],
    [['generate', run, '--top-p', '0'], "Expected a number above 0 and at most 1, received '0'."],
    [
      ['generate', run, '--prompt', 'a', '--prompt-file', 'text.txt'],
      'expected --prompt or --prompt-file, received both',
    ],
    [['generate', run, '--prompt-file', 'nothing.txt'], '--prompt-file: nothing.txt: no such file'],
    [['generate', run, '--prompt-file', 'runs'], '--prompt-file: runs: expected a file, found a folder'],
    [['evaluate', `${run}/best`, '--data', 'text'], 'expected a run, checkpoint or model folder'],
    [['inspect'], "missing required argument 'path'"],
    [['doctor', 'now'], "too many arguments for 'doctor'"],
  ])('%j is answered in one line', async (args, message) => {
    const { code, out, error } = await command(args);
    expect(out).toBe('');
    expect(error).toContain(message);
    expect(error.trimEnd()).not.toContain('\n');
    expect(code).toBe(message.includes('expected a run') ? 1 : 2);
  });

  it.concurrent.each([
    [['evaluate', 'runs/frist'], 'runs/frist: no such file or folder; did you mean runs/first?'],
    [['generate', 'runs/frist'], 'did you mean runs/first?'],
    [['inspect', 'runs/frist'], 'did you mean runs/first?'],
    [['evaluate', run, '--data', 'enwik9'], "did you mean 'enwik8'?"],
    [['evaluate', run, '--memory', '100'], 'memoryLength: expected a multiple of chunkSize 8, received 100'],
    [['inspect', 'text.txt'], 'text.txt line 1: expected'],
  ])('%j fails in one line', async (args, message) => {
    const { code, out, error } = await command(args);
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(error).toContain(message);
    expect(error.trimEnd()).not.toContain('\n');
  });

  it('shows where an error happened with --debug or TLS_DEBUG', async () => {
    const bad = ['evaluate', 'runs/frist'];
    expect((await command(bad)).error).not.toContain('    at ');
    expect((await command([...bad, '--debug'])).error).toContain('    at ');
    expect((await command(bad, { TLS_DEBUG: '1' })).error).toContain('    at ');
  });

  it('ends quietly when its reader has seen enough', async () => {
    const child = start(['generate', run, '--tokens', '100000', '--prompt', 'a']);
    child.stdout!.once('data', () => child.stdout!.destroy());
    let error = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      error += text;
    });
    const code = await new Promise((resolve) => child.once('exit', resolve));
    expect({ code, error }).toEqual({ code: 0, error: '' });
  });
});

describe('evaluate', () => {
  const small = ['evaluate', run, '--memory', '512', '--max-tokens', '1000'];

  it('prints a table and writes evaluation.json and evaluation.svg into the run', async () => {
    const { code, out } = await command([...small, '--context-chart']);
    expect(code).toBe(0);
    expect(out).toMatch(/bits per character, published {3}\d\.\d{4} {2}over 255 of every 256 tokens/);
    expect(out).toMatch(/gzip -9 +\d\.\d{4}/);
    expect(out).toContain(
      'Not the published protocol: a part of the split only, memory 512 instead of 32,768',
    );
    expect(out).toContain('comparable only on the same bytes');
    const record = JSON.parse(readFileSync(join(scratch, run, 'evaluation.json'), 'utf8'));
    expect(record).toMatchObject({
      model: { step: 4, memoryLength: 512 },
      data: { name: 'text', split: 'test', bytes: 3000, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
      protocol: { published: false, blockLength: 1024, complete: false },
      tokens: 1000,
      hardware: { cpu: expect.any(String) },
    });
    expect(record.context.map((point: { contextLength: number }) => point.contextLength)).toEqual([
      64, 128, 256, 512, 1024, 2048,
    ]);
    checkXml(readFileSync(join(scratch, run, 'evaluation.svg'), 'utf8'));
  });

  it('gives the same numbers for any block, and prints only JSON with --json', async () => {
    const results = [];
    for (const block of ['100', '1k']) {
      const { code, out, error } = await command([...small, '--block', block, '--json', '--no-compressors']);
      expect({ code, error }).toEqual({ code: 0, error: '' });
      results.push(JSON.parse(out));
    }
    expect(results[0].bpc).toBeCloseTo(results[1].bpc, 5);
    expect(results[0].compressors).toEqual([]);
  });

  it('follows the published protocol by default', async () => {
    const { code, out } = await command(['evaluate', run, '--json', '--out', 'results']);
    expect(code).toBe(0);
    const record = JSON.parse(out);
    expect(record).toMatchObject({ protocol: { published: true, memoryLength: 32768 }, tokens: 2999 });
    expect(existsSync(join(scratch, 'results/evaluation.json'))).toBe(true);
  });

  it('stops at Ctrl-C and leaves the earlier result', async () => {
    const path = join(scratch, run, 'evaluation.json');
    const before = readFileSync(path, 'utf8');
    const child = start(['evaluate', run, '--block', '1', '--split', 'train', '--no-compressors']);
    child.stderr!.once('data', () => child.kill('SIGINT'));
    const { code, out, error } = await ended(child);
    expect(code).toBe(130);
    expect(out).toContain('a part of the split only');
    expect(error).toContain('interrupted; nothing was written');
    expect(readFileSync(path, 'utf8')).toBe(before);
  });

  it('passes over a damaged checkpoint and says so', async () => {
    cpSync(join(scratch, run), join(scratch, 'runs/damaged'), { recursive: true });
    truncateSync(join(scratch, 'runs/damaged/best/step-00000004/model.safetensors'), 5000);
    const { code, error } = await command([
      'evaluate',
      'runs/damaged',
      ...small.slice(2),
      '--no-compressors',
    ]);
    expect(code).toBe(0);
    expect(error).toMatch(/^transformer-ls evaluate: passed over .*step-00000004: .*\n/);
  });
});

describe('generate', () => {
  const seeded = ['generate', run, '--tokens', '40', '--seed', '5'];

  it('streams text and says speed and seed', async () => {
    const { code, out, error } = await command([...seeded, '--prompt', 'abc']);
    expect(code).toBe(0);
    expect(out.replace(/[\n\t]/g, '')).not.toMatch(/\p{Cc}/u);
    expect(error).toMatch(/^\[prompt 3 tokens .* tok\/s\), 40 tokens .* tok\/s\), memory .*, seed 5\]\n$/);
  });

  it('takes the prompt from the flag, a file or standard input alike, and repeats itself with the seed', async () => {
    const prompt = 'It was a dark and stormy night — and it rained.';
    writeFileSync(join(scratch, 'prompt.txt'), prompt);
    const fromFlag = await command([...seeded, '--prompt', prompt]);
    const fromFile = await command([...seeded, '--prompt-file', 'prompt.txt']);
    const child = start(seeded);
    child.stdin!.end(prompt);
    const fromInput = await ended(child);
    expect(fromFlag.code).toBe(0);
    expect(fromFile.out).toBe(fromFlag.out);
    expect(fromInput.out).toBe(fromFlag.out);
    expect(
      (await command(['generate', run, '--tokens', '40', '--seed', '6', '--prompt', prompt])).out,
    ).not.toBe(fromFlag.out);
  });

  it('gives the bytes with --raw and one object with --json', async () => {
    const child = start([...seeded, '--raw', '--prompt', 'a']);
    const raw: Buffer[] = [];
    child.stdout!.on('data', (piece: Buffer) => raw.push(piece));
    await new Promise((resolve) => child.once('close', resolve));
    expect(Buffer.concat(raw)).toHaveLength(40);
    const { out } = await command([...seeded, '--json', '--prompt', 'a']);
    expect(JSON.parse(out)).toMatchObject({
      tokens: 40,
      promptTokens: 1,
      ending: 'length',
      seed: 5,
      step: 4,
    });
  });

  it('ends at a stop text', async () => {
    const whole = JSON.parse((await command([...seeded, '--json', '--prompt', 'a'])).out).text as string;
    const letter = [...whole].find((one) => /[!-~]/.test(one))!;
    const { out } = await command([...seeded, '--json', '--prompt', 'a', '--stop', letter]);
    expect(JSON.parse(out)).toMatchObject({ ending: 'stop', text: whole.slice(0, whole.indexOf(letter)) });
  });

  it('ends cleanly at Ctrl-C', async () => {
    const child = start(['generate', run, '--tokens', '1000000', '--prompt', 'a']);
    child.stdout!.once('data', () => child.kill('SIGINT'));
    const { code, out, error } = await ended(child);
    expect(code).toBe(130);
    expect(out.endsWith('\n')).toBe(true);
    expect(error).toMatch(/interrupted\]\n$/);
  });
});

describe('inspect', () => {
  it('shows a run: sizes, cost, checkpoints, newest metrics, tensors', async () => {
    const { code, out } = await command(['inspect', run]);
    expect(code).toBe(0);
    for (const part of [
      'runs/first: run',
      'multiply-accumulates per token',
      'windowSize',
      'step-00000004',
      'whole',
    ])
      expect(out).toContain(part);
    expect(out).toMatch(/"type":"evaluation"/);
    expect(out).toMatch(/layers\.1\.ff\.fc2\.weight +F32 +\[64, 128\] +mean .* std /);
  });

  it('shows checkpoints, files and metrics as JSON too', async () => {
    const checkpoint = JSON.parse((await command(['inspect', `${run}/best/step-00000004`, '--json'])).out);
    expect(checkpoint).toMatchObject({ kind: 'checkpoint', facts: { step: 4 }, config: { modelDim: 64 } });
    const file = JSON.parse(
      (await command(['inspect', `${run}/best/step-00000004/optimizer.safetensors`, '--json'])).out,
    );
    expect(file.kind).toBe('safetensors');
    expect(file.tensors.length).toBeGreaterThan(50);
    const metrics = JSON.parse((await command(['inspect', `${run}/metrics.jsonl`, '--json'])).out);
    expect(metrics.newest.map((record: { type: string }) => record.type)).toContain('train');
  });

  it('shows a dictionary', async () => {
    writeFileSync(join(scratch, 'dict.txt'), '101 50\n32 40\nmadeupword0000 0\nmadeupword0001 0\n');
    const { out } = await command(['inspect', 'dict.txt']);
    expect(out).toMatch(/token ids +8/);
    expect(out).toContain('101 32');
  });
});

describe('build', () => {
  it('says what is missing and what mends it, a line each', async () => {
    const { code, error } = await command(['build'], { PATH: scratch, CXX: 'no-such-compiler' });
    expect(code).toBe(1);
    const lines = error.trim().split('\n');
    expect(lines.every((line) => line.startsWith('transformer-ls build: '))).toBe(true);
    expect(lines[0]).toMatch(/missing g\+\+: no C\+\+ compiler found \(tried no-such-compiler\)$/);
    expect(error).toMatch(/: (mend it with: sudo apt-get |install with your package manager: )/);
  });

  it('does nothing twice', async () => {
    const built = await command(['build', '--json']);
    if (built.code === 0) expect(JSON.parse((await command(['build', '--json'])).out).status).toBe('current');
    else expect(built.error).toContain('missing');
  });
});

describe('doctor', () => {
  it('prints what it found, as lines and as JSON', async () => {
    const lines = await command(['doctor']);
    expect(lines.out).toMatch(/^ok {2,}Node/);
    const { out, code } = await command(['doctor', '--json']);
    const findings = JSON.parse(out) as { name: string; status: string }[];
    expect(findings.map(({ name }) => name)).toContain('libtorch');
    expect(code).toBe(findings.some(({ status }) => status === 'fail') ? 1 : 0);
  });
});

describe('the library', () => {
  it('does what its README shows', async () => {
    const readme = readFileSync(fileURLToPath(new URL('../../README.md', import.meta.url)), 'utf8');
    const example = /```ts\n([\s\S]*?)```/.exec(readme)![1]!;
    expect(example.trim().split('\n').length).toBeLessThanOrEqual(12);
    const modules = join(scratch, 'program/node_modules');
    symlinkSync(join(scratch, 'program/transformer-ls'), join(modules, 'transformer-ls'));
    // The embedded corpus is the text of installed packages.
    const installed = fileURLToPath(new URL('../../../../node_modules/typescript', import.meta.url));
    symlinkSync(installed, join(modules, 'typescript'));
    writeFileSync(join(scratch, 'program/example.mjs'), example);
    const child = spawn(process.execPath, [join(scratch, 'program/example.mjs')], { cwd: scratch });
    const { code, out, error } = await ended(child);
    expect({ code, error }).toEqual({ code: 0, error: '' });
    expect(out.length).toBeGreaterThan(100);
  });
});
