import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodeSafetensors, parseSafetensors } from '@transformer-ls/formats';
import { describe, expect, it } from 'vitest';
import { goldenPaths, runGolden } from '../../src/goldens/run.js';

const own = fileURLToPath(new URL('../../fixtures/goldens', import.meta.url));
const baseName = (path: string) => path.split('/').at(-1);

describe('the golden files of the project', () => {
  it.each(goldenPaths([own]).map((path) => [baseName(path), path]))('%s', (_, path) => {
    expect(runGolden(path!)).toMatchObject({ status: 'pass', problems: [] });
  });
});

describe('the runner', () => {
  const folder = mkdtempSync(join(tmpdir(), 'goldens '));
  const source = join(own, 'ar_m4_l16_c4_w8.safetensors');

  it('fails a case whose expected output differs by ten times the tolerance', () => {
    const { metadata, tensors } = parseSafetensors(readFileSync(source));
    const y = tensors.get('output.y')!;
    const values = new Float32Array(
      y.data.buffer.slice(y.data.byteOffset, y.data.byteOffset + y.data.byteLength),
    );
    values[5]! += 1e-4 * values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    tensors.set('output.y', { ...y, data: new Uint8Array(values.buffer) });
    const path = join(folder, 'changed.safetensors');
    writeFileSync(path, encodeSafetensors(tensors, metadata));
    const result = runGolden(path);
    expect(result.status).toBe('fail');
    expect(result.problems).toEqual([expect.stringMatching(/^output\.y: relative error .* exceeds 1e-5$/)]);
  });

  it('fails a NaN', () => {
    const { metadata, tensors } = parseSafetensors(readFileSync(source));
    const h = tensors.get('input.h')!;
    const nan = new Float32Array(h.data.byteLength / 4).fill(Number.NaN);
    tensors.set('input.h', { ...h, data: new Uint8Array(nan.buffer) });
    const path = join(folder, 'nan.safetensors');
    writeFileSync(path, encodeSafetensors(tensors, metadata));
    expect(runGolden(path).status).toBe('fail');
  });

  it.each([
    ['a file that is no safetensors file', Buffer.from('hello'), /header|bytes/],
    ['a file without metadata', Buffer.from(encodeSafetensors({})), /"family" and "config"/],
  ])('says in one line what is wrong with %s', (_, bytes, message) => {
    const path = join(folder, 'bad.safetensors');
    writeFileSync(path, bytes);
    const result = runGolden(path);
    expect(result).toMatchObject({ status: 'fail', problems: [expect.stringMatching(message)] });
    expect(result.problems[0]).not.toContain('\n');
  });
});
