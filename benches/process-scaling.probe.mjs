// One of the processes of benches/process-scaling.mjs that say what the network does: sums of a few numbers and of a bucket of gradients,
// with nothing else to do.
import * as torch from '../packages/torch/dist/index.js';

const { bucketBytes } = JSON.parse(process.argv[2]);
const membership = torch.membershipFrom();
const { rank, world } = membership;
const place = torch.meet(membership, 600);
const group = new torch.ProcessGroup({ backend: 'gloo', rank, world, timeoutSeconds: 600, ...place });

/** Median milliseconds. */
function sumMs(elements, times) {
  const x = torch.zeros([elements]);
  const found = Array.from({ length: times }, () => {
    group.barrier().wait();
    const started = performance.now();
    group.allReduce(x).wait();
    return performance.now() - started;
  });
  return found.sort((a, b) => a - b)[times >> 1];
}

const measured = { smallMs: sumMs(4, 101), bucketMs: sumMs(bucketBytes / 4, 21) };
group.barrier().wait();
process.send(measured, () => process.disconnect());
