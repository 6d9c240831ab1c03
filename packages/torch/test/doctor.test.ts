import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { diagnose, type Finding, formatFindings } from '../scripts/doctor.mjs';

function find(findings: Finding[], name: string): Finding {
  const finding = findings.find((candidate) => candidate.name === name);
  if (finding === undefined) throw new Error(`no finding named ${name}`);
  return finding;
}

describe('doctor', () => {
  it('looks at everything the bridge stands on, with a command for each failure', () => {
    const findings = diagnose();
    // A libtorch with CUDA has a line more, on the kernels for it.
    const names = findings.map(({ name }) => name).filter((name) => name !== 'CUDA kernels');
    expect(names).toEqual([
      'Node',
      'npm packages',
      'libtorch',
      'C++ compiler',
      'CMake',
      'native bridge',
      'BLAS',
      'threads',
      'SIMD',
      'GPU',
      'disk',
      'memory',
    ]);
    for (const { status, remedy } of findings) if (status === 'fail') expect(remedy).not.toBeNull();
    for (const { status, remedy } of findings) if (status === 'ok') expect(remedy).toBeNull();
  });

  it('blames the variable that names a libtorch which is not there', () => {
    const missing = join('no', 'such', 'libtorch');
    const findings = diagnose({ env: { ...process.env, LIBTORCH: missing } });
    expect(find(findings, 'libtorch')).toMatchObject({
      status: 'fail',
      remedy: 'unset LIBTORCH && npm run setup',
    });
    expect(find(findings, 'libtorch').found).toContain(`${missing} does not exist`);
    expect(find(findings, 'native bridge').found).toContain(`LIBTORCH=${missing}`);
  });

  it.each([
    ['OMP_WAIT_POLICY', 'active', 'spinning'],
    ['OMP_NUM_THREADS', '0', 'not a number of threads'],
    ['OMP_NUM_THREADS', '100000', 'more threads than cores'],
  ])('warns of %s=%s', (variable, value, reason) => {
    const threads = find(diagnose({ env: { ...process.env, [variable]: value } }), 'threads');
    expect(threads.status).toBe('warn');
    expect(threads.found).toContain(reason);
    expect(threads.remedy).toContain(variable);
  });

  it('prints one line per finding and the remedy under it', () => {
    const text = formatFindings([
      { name: 'Node', status: 'ok', found: '20.1.0', remedy: null },
      { name: 'libtorch', status: 'fail', found: 'none', remedy: 'npm run setup' },
    ]);
    expect(text.split('\n')).toEqual([
      'ok    Node      20.1.0',
      'fail  libtorch  none',
      '                mend it: npm run setup',
    ]);
  });
});
