/** Who takes part in the benchmarks of one layer of attention: a process each, of attention-layer.worker.mjs or its twin in Python. */
import { keptByDefault } from '../packages/transformer-ls/dist/attention/bidirectional.js';
import { ourVariants, pythonSettings, pythonVariant, torchVersion } from './side-by-side.workers.mjs';

const KEEPS = { keep: 'keys and values', recompute: 'nothing' };
const PYTHON_WORKER = 'pytorch/attention-layer.py';

/**
 * Ours on every libtorch that a bridge is built for.
 *
 * @param path `fused`, `keep` and `recompute` (bidirectional, with all keys and values kept for the backward pass, or none of them),
 *   `composed`, or `full`: full attention, which has no operator of its own
 * @param kind where weights and inputs come from: `make-weights`, `load-weights` or `random`
 */
export function ours(path, { threads }, kind) {
  const job = { kind, fused: path !== 'composed', keeps: KEEPS[path], threads };
  const found = ourVariants('attention-layer.worker.mjs', job);
  if (found.length === 0) throw new Error('no bridge is built; run: npm run setup');
  return found.map((variant) => ({ ...variant, name: `${variant.name}, ${path}` }));
}

/** The ways of ours that a case is measured in. */
export function ourPaths({ kind, modelDim }, { composed }) {
  const others =
    kind !== 'bidirectional'
      ? []
      : keptByDefault(modelDim) === 'keys'
        ? ['keep', 'recompute']
        : ['recompute'];
  return ['fused', ...others, ...(composed ? ['composed'] : [])];
}

/** That on the latest libtorch. */
export function newest(variants) {
  const parts = ({ version }) => version.split('.').map(Number);
  const isLater = ([major, minor], [otherMajor, otherMinor]) =>
    major > otherMajor || (major === otherMajor && minor > otherMinor);
  return variants.reduce((best, one) => (isLater(parts(one), parts(best)) ? one : best));
}

/** The published module on every Python's torch at its settings; none without a clone. */
export function published({ pythons, clone, threads }, kind) {
  if (!clone) return [];
  return pythons.flatMap((python) =>
    pythonSettings(
      python,
      PYTHON_WORKER,
      `published, PyTorch ${torchVersion(python)}`,
      { kind, clone },
      threads,
    ),
  );
}

/** Full attention by PyTorch's own operator, which torch has from 2 on. */
export function scaledDotProduct({ pythons, threads }, kind) {
  return pythons
    .filter((python) => Number.parseInt(torchVersion(python), 10) >= 2)
    .map((python) => {
      const name = `scaled_dot_product_attention, PyTorch ${torchVersion(python)}`;
      return pythonVariant(python, PYTHON_WORKER, name, { kind, threads });
    });
}
