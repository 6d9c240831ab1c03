import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { progressLine } from '../../src/cli/prepare.js';
import { transpileProgram } from '../train/transpiled-program.js';

let scratch: string;
let main: string;

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'tls prepare '));
  main = join(transpileProgram(join(scratch, 'program')), 'main.js');
  writeFileSync(join(scratch, 'notes.txt'), 'all work and no play\n'.repeat(2000));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const prepare = (...args: string[]) =>
  spawnSync(process.execPath, [main, 'prepare', ...args], { cwd: scratch, encoding: 'utf8' });

it('says what it made, and the same again without making it twice', () => {
  const first = prepare('text', '--from', 'notes.txt');
  expect(first.stderr).toBe('');
  expect(first.status).toBe(0);
  expect(first.stdout).toContain('  train          37,800 bytes, from byte 0\n');
  expect(first.stdout).toContain('  test           2,100 bytes, from byte 39,900\n');
  expect(first.stdout).toMatch(/ {2}SHA-256 {8}[0-9a-f]{64}\n/);
  expect(first.stdout).toContain('Numbers on your own text are comparable only on the same bytes');
  expect(prepare('text', '--from', 'notes.txt').stdout).toBe(first.stdout);
});

it('TRANSFORMER_LS_DATA and --data-folder say where to', () => {
  const env = { ...process.env, TRANSFORMER_LS_DATA: join(scratch, 'by environment') };
  const options = { cwd: scratch, encoding: 'utf8', env } as const;
  const words = [main, 'prepare', 'text', '--from', 'notes.txt'];
  expect(spawnSync(process.execPath, words, options).stdout).toContain(join(scratch, 'by environment'));
  const flagged = spawnSync(process.execPath, [...words, '--data-folder', 'by flag'], options);
  expect(flagged.stdout).toContain(join(scratch, 'by flag'));
});

it.each([
  ['a name that does not exist', ['enwik'], "did you mean 'enwik8'?"],
  ['no name', [], "missing required argument 'data'"],
  ['text without --from', ['text'], 'text: pass --from <file or folder of text>'],
  [
    'a file that is something else',
    ['enwik8', '--from', 'notes.txt'],
    'holds 42000 bytes, expected the 100000000 of enwik8',
  ],
  ['a corpus that is nowhere', ['text8'], 'text8 is not prepared: pass --from <file>'],
])('%s: one line, exit code 2', (_, args, message) => {
  const { status, stderr } = prepare(...args);
  expect(stderr).toContain(message);
  expect(stderr.trim().split('\n')).toHaveLength(1);
  expect(status).toBe(2);
});

it('generated examples are the same on one thread and on several', () => {
  const made = (threads: string) => {
    const args = [
      'pathfinder32',
      '--examples',
      '2100',
      '--threads',
      threads,
      '--data-folder',
      `on ${threads}`,
    ];
    const { stdout, stderr, status } = prepare(...args);
    expect(status, stderr).toBe(0);
    return /SHA-256 +([0-9a-f]{64})/.exec(stdout)![1];
  };
  expect(made('3')).toBe(made('1'));
});

it('the progress line holds what is known', () => {
  expect(
    progressLine('enwik8', { stage: 'download', bytes: 13_107_200, total: 36_445_475, rate: 2 ** 21 }),
  ).toBe('enwik8: download 12.5 MiB of 34.8 MiB, 35 %, 2 MiB/s');
  expect(progressLine('text', { stage: 'write', bytes: 512, total: undefined })).toBe('text: write 512 B');
});
