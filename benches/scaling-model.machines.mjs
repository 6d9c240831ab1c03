/**
 * The machines and networks of benches/scaling-model.mjs. `measured` figures are those of benches/results; the rest are assumptions, and
 * the report says so.
 */
import { pairsSeconds, ringSeconds, twoLevelSeconds } from './scaling-model.formulas.mjs';

/** What one message of Gloo's takes between two processes of this machine, with nothing else to do. Measured. */
const GLOO_LATENCY = 130e-6;
const ETHERNET = { bandwidth: (0.94 * 10e9) / 8, latency: GLOO_LATENCY };
const NVLINK = { bandwidth: 0.8 * 450e9, latency: 3e-6 };
const INFINIBAND = { bandwidth: (0.9 * 400e9) / 8, latency: 6e-6 };

const overEthernet = (processes, bytes) => ringSeconds(processes, bytes, ETHERNET);
/** The sums of a few numbers, over Gloo whatever the gradients take: sum-of-few.ts. */
const smallOverEthernet = (processes, bytes) =>
  (processes < 8 ? ringSeconds : pairsSeconds)(processes, bytes, ETHERNET);

/** Operations a second in training steps, by kind of recipe, with two cores of an AMD EPYC. Measured (training-step, vision-forward). */
const TWO_CORES = { lane: 90e9, document: 40e9, picture: 90e9 };
const times = (factor, rates) =>
  Object.fromEntries(Object.entries(rates).map(([kind, rate]) => [kind, factor * rate]));

const onCpu = {
  allReduce: overEthernet,
  smallSum: smallOverEthernet,
  /** As ranks.ts says. */
  bucketBytes: (processes) => Math.max(4 * 2 ** 20, processes * 160 * 2 ** 10),
  /** A step of AdamW: 23 ms for 40 million parameters with two cores. Measured (optimizer). */
  updateSeconds: (parameters) => (parameters * 23e-3) / 40e6,
};

export const MACHINES = [
  {
    title: 'Gloo on 10 Gbit/s Ethernet, one process a machine with two cores',
    says: 'Compute: measured (90 GFLOP/s in steps of language models and pictures, 40 in ListOps’s). Network: 94 % of 10 Gbit/s (assumed), 130 microseconds a message (measured on loopback).',
    ...onCpu,
    rates: TWO_CORES,
  },
  {
    title: 'The same with 64 cores a machine',
    says: 'Compute: 32 times the measured rate (assumed; no machine of this size was there).',
    ...onCpu,
    rates: times(32, TWO_CORES),
    updateSeconds: (parameters) => onCpu.updateSeconds(parameters) / 8,
  },
  {
    title: 'NCCL, machines of eight H100 with NVLink, 400 Gbit/s InfiniBand for each GPU',
    says: 'Compute: 40 % of 989 TFLOP/s in bfloat16 (an assumption, and a hopeful one for small parts of a batch). NVLink at 80 % of 450 GB/s with 3 microseconds a message, InfiniBand at 90 % of 400 Gbit/s with 6 (assumed). The sums of a few numbers go over Gloo, 130 microseconds a message.',
    allReduce: (processes, bytes) =>
      twoLevelSeconds(processes, bytes, { perMachine: 8, inside: NVLINK, between: INFINIBAND }),
    smallSum: smallOverEthernet,
    bucketBytes: () => 25 * 2 ** 20,
    rates: times(1, { lane: 0.4 * 989e12, document: 0.4 * 989e12, picture: 0.4 * 989e12 }),
    /** 28 bytes a parameter at 2.7 of 3.35 TB/s. */
    updateSeconds: (parameters) => (28 * parameters) / 2.7e12,
  },
];
