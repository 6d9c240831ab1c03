// Numbers of rows that no sequence has, to the operator itself: sums of them must not leave their range.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  distributedBackends,
  operator,
  ProcessGroup,
  rand,
  Store,
  scope,
  type Tensor,
} from '../src/index.js';

type Extend = (
  xs: readonly Tensor[],
  group: number,
  ...rows: readonly (readonly (number | bigint)[])[]
) => readonly Tensor[];

describe.skipIf(!distributedBackends().gloo)('rows of a sharded sequence', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sharded rows '));
  const group = new ProcessGroup({
    backend: 'gloo',
    store: Store.inFile(join(folder, 'store'), 1, 60),
    rank: 0,
    world: 1,
    timeoutSeconds: 60,
    address: '127.0.0.1',
  });
  afterAll(() => {
    group.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const extend = operator<Extend>('tls::extend_over_processes');
  const MOST = 2n ** 63n - 1n;

  it('before and after are as many as there are', () => {
    scope(() => {
      const x = rand([2, 8, 3]);
      const [extended] = extend([x], group.handle, [8], [MOST], [MOST]);
      expect(extended!.toTypedArray()).toEqual(x.toTypedArray());
    });
  });

  it('are refused where no sequence has as many', () => {
    scope(() => {
      expect(() => extend([rand([2, 8, 3])], group.handle, [MOST], [0], [0])).toThrow(
        'expected lengths of at most 281474976710656 together',
      );
    });
  });
});
