/**
 * What a step of data parallel training takes with many processes, from what its parts take. Seconds, bytes, bytes a second. A network is
 * `{ bandwidth, latency }`: of one process in one direction, and of one message.
 */

/** @typedef {{ bandwidth: number, latency: number }} Network */

/**
 * Gloo's only all-reduce of tensors, and NCCL's of large ones: every process sends its share of the bytes p - 1 times round the ring to add
 * them up, and p - 1 times to spread the sums.
 */
export function ringSeconds(processes, bytes, { bandwidth, latency }) {
  const rounds = 2 * (processes - 1);
  return (rounds * bytes) / processes / bandwidth + rounds * latency;
}

/** Halves go to partners ever further away, and come back: as many bytes as in a ring, few messages. */
export function halvingSeconds(processes, bytes, { bandwidth, latency }) {
  const rounds = 2 * Math.ceil(Math.log2(processes));
  return (2 * (processes - 1) * bytes) / processes / bandwidth + rounds * latency;
}

/** Pairs exchange all bytes and double what they have; those beyond a power of two hand in and are told. */
export function pairsSeconds(processes, bytes, { bandwidth, latency }) {
  const rounds = Math.floor(Math.log2(processes));
  const strays = processes > 2 ** rounds ? 2 : 0;
  return (rounds + strays) * (bytes / bandwidth + latency);
}

/** NCCL's two trees, each of which adds up and spreads one half, pipelined: every process sends all bytes twice. */
export function treeSeconds(processes, bytes, { bandwidth, latency }) {
  if (processes === 1) return 0;
  return (2 * bytes) / bandwidth + 2 * Math.ceil(Math.log2(processes)) * latency;
}

/** What is fastest of the two that NCCL chooses from. */
export function bestSeconds(processes, bytes, network) {
  return Math.min(ringSeconds(processes, bytes, network), treeSeconds(processes, bytes, network));
}

/**
 * On machines with several GPUs: added up within each machine so that each GPU has a share, each share summed over the machines by the
 * GPU's own adapter, and spread within each machine.
 */
export function twoLevelSeconds(processes, bytes, { perMachine, inside, between }) {
  const local = Math.min(processes, perMachine);
  const machines = Math.ceil(processes / perMachine);
  return ringSeconds(local, bytes, inside) + bestSeconds(machines, bytes / local, between);
}

/**
 * When the last sum is there, where equal buckets become ready one after the other during backward and are summed one after the other.
 *
 * @param sumSeconds of a bucket
 * @returns seconds after the beginning of backward; never less than backward itself
 */
export function overlappedSeconds(backward, buckets, sumSeconds) {
  let free = 0;
  for (let bucket = 1; bucket <= buckets; bucket++)
    free = Math.max(free, (backward * bucket) / buckets) + sumSeconds;
  return Math.max(free, backward);
}

/**
 * Seconds of a step.
 *
 * @param work `{ forward, backward, update }` of one process
 * @param gradients `{ bytes, bucketBytes }`
 * @param allReduce `(processes, bytes) => seconds`, of gradients
 * @param options `smallSum`: the same for the exchanges of a few numbers, of which there are two a step; `overlap`: whether sums begin during
 *   backward
 */
export function stepSeconds(
  processes,
  work,
  gradients,
  allReduce,
  { smallSum = allReduce, overlap = true } = {},
) {
  const { forward, backward, update } = work;
  if (processes === 1) return forward + backward + update;
  const buckets = Math.max(1, Math.ceil(gradients.bytes / gradients.bucketBytes));
  const sum = allReduce(processes, gradients.bytes / buckets);
  const passed = overlap ? overlappedSeconds(backward, buckets, sum) : backward + buckets * sum;
  return forward + passed + update + 2 * smallSum(processes, SMALL_BYTES);
}

/** Four numbers. */
const SMALL_BYTES = 32;

/** Of p processes as fast as p times one: the same work for each (weak), so that more of them do more a step. */
export function weakEfficiency(alone, together) {
  return alone / together;
}

/** The same work for all together, so that each does a part of it (strong). */
export function strongEfficiency(alone, processes, together) {
  return alone / (processes * together);
}

/** Whether equal parts of a batch can be had, and mixed pictures in whole pairs. */
export function dividesBatch(batch, processes, unit = 1) {
  return batch % (processes * unit) === 0;
}
