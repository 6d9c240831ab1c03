// One of several processes, started by distributed.test.ts: does together with the others what the scenario says, and prints what it got.
const [, , index, scenario, ...rest] = process.argv;
const torch = await import(index);
const { tensor, ProcessGroup, meet, membershipFrom } = torch;

const membership = membershipFrom();
const { rank, world } = membership;
const seconds = scenario === 'silent' ? 1.5 : 60;
const place = meet(membership, seconds);
const join = () => new ProcessGroup({ backend: 'gloo', rank, world, timeoutSeconds: seconds, ...place });
const say = (what) => console.log(JSON.stringify(what));
const values = (one) => Array.from(one.toTypedArray(), Number);

/** Element i of a rank's tensor, small whole numbers that every dtype holds. */
const element = (of, i) => ((of + 1) * (i + 3)) % 17;
const own = (count, dtype, of = rank) =>
  tensor(
    Array.from({ length: count }, (_, i) => element(of, i)),
    { dtype },
  );

const scenarios = {
  /** Every collective at many sizes, several under way at once. */
  sums() {
    const group = join();
    for (const dtype of ['float32', 'float64', 'int64', 'int32', 'uint8'])
      for (const count of [1, 2, 7, 1000]) {
        const [reduced, spread] = [own(count, dtype), own(count, dtype)];
        const works = [group.allReduce(reduced), group.broadcast(spread, world - 1)];
        const { tensors, work } = group.allGather(own(count, dtype));
        for (const one of [work, ...works]) one.wait();
        const [next, before] = [(rank + 1) % world, (rank + world - 1) % world];
        const got = own(count, dtype);
        const sending = group.send(own(count, dtype), next, 5);
        group.receive(got, before, 5).wait();
        sending.wait();
        say({
          dtype,
          count,
          reduced: values(reduced),
          spread: values(spread),
          all: tensors.map(values),
          got: values(got),
        });
      }
    group.barrier().wait();
    group.close();
  },

  /** The same numbers in float32 summed again and again: the same bits in every process. */
  bits() {
    const group = join();
    torch.manualSeed(rank);
    const one = torch.randn([100_003]);
    const sums = Array.from({ length: 3 }, () => one.clone());
    for (const sum of sums) group.allReduce(sum).wait();
    say({ sums: sums.map((sum) => Buffer.from(sum.toTypedArray().buffer).toString('base64').slice(-4000)) });
    group.barrier().wait();
  },

  silent() {
    const group = join();
    if (rank === 1) return new Promise((resolve) => setTimeout(resolve, 4000));
    failing(() => group.allReduce(own(4, 'float32')).wait());
  },

  /** One wait is shorter than the timeout of the group. */
  impatient() {
    const group = join();
    if (rank === 1) return new Promise((resolve) => setTimeout(resolve, 3000));
    const work = group.allReduce(own(4, 'float32'));
    say({ isDone: work.isDone() });
    failing(() => work.wait(0.5));
    // What is still under way must not keep the process.
    process.exit(0);
  },

  gone() {
    const group = join();
    if (rank === 1) process.kill(process.pid, 'SIGKILL');
    failing(() => group.allReduce(own(4, 'float32')).wait());
  },

  async store() {
    const { store } = place;
    if (rank === 0) {
      await new Promise((resolve) => setTimeout(resolve, 300));
      store.set('greeting', 'naïve 你好 "quoted"');
    }
    say({ greeting: await store.waitFor('greeting', 30), missing: store.get('nothing') });
    join().barrier().wait();
  },

  refusals() {
    const group = join();
    failing(() => group.broadcast(own(4, 'float32'), world));
    failing(() => group.allReduce(own(4, 'float32').reshape([2, 2]).transpose(0, 1)));
    group.barrier().wait();
    group.close();
    failing(() => group.barrier());
  },

  /** Gradients of a small model: bucket by bucket, with and without overlap. */
  buckets() {
    const group = join();
    const [overlap, hasLonely] = [rest.includes('overlap'), rest.includes('lonely')];
    const { linear } = network();
    const parameters = [...linear.flatMap(({ weight, bias }) => [weight, bias])];
    const lonely = tensor([1, 2], { dtype: 'float64' });
    const unused = tensor([3], { dtype: 'float64' });
    for (const one of [lonely, unused]) one.requiresGrad = true;
    const all = [unused, ...parameters, lonely];
    const buckets = new torch.GradientBuckets(group, all, { bucketBytes: 300, overlap });
    for (let step = 0; step < 3; step++) {
      buckets.begin();
      torch.scope(() => {
        const loss = lossOf(linear, rank, step);
        // A parameter that one process alone uses, or all.
        (rank === 0 || !hasLonely ? loss.add(lonely.sum()) : loss).backward();
      });
      const { early, buckets: count } = buckets.finish();
      const gradients = parameters.map(({ grad }) => values(grad));
      say({ early, count, unused: unused.grad, lonely: values(lonely.grad), gradients });
      for (const one of all) one.grad = null;
    }
    buckets.close();
    group.barrier().wait();
  },
};

/** Three layers of float64. */
function network() {
  torch.manualSeed(3);
  const linear = [
    [4, 6],
    [6, 6],
    [6, 2],
  ].map(([inFeatures, outFeatures]) => new torch.Linear({ inFeatures, outFeatures }));
  for (const one of linear) one.to({ dtype: 'float64' });
  return { linear };
}

/** Of one process's rows, which depend on it and the step. */
function lossOf(linear, of, step) {
  const rows = tensor(
    Array.from({ length: 12 }, (_, i) => Math.sin(1 + i + 12 * of + 100 * step)),
    { dtype: 'float64' },
  ).reshape([3, 4]);
  return linear
    .reduce((x, one) => one.forward(x).tanh(), rows)
    .pow(2)
    .mean();
}

/** Says what error came, or that none did. */
function failing(action) {
  const started = performance.now();
  let said = { name: 'none' };
  try {
    action();
  } catch ({ name, message, reason }) {
    said = { name, message, reason };
  }
  say({ ...said, seconds: (performance.now() - started) / 1000 });
}

if (scenario === 'expected-buckets') {
  // What one process makes of all parts: the sums that the others must come to.
  const { linear } = network();
  for (let step = 0; step < 3; step++) {
    for (let of = 0; of < Number(rest[0]); of++) lossOf(linear, of, step).backward();
    const parameters = [...linear.flatMap(({ weight, bias }) => [weight, bias])];
    say({ gradients: parameters.map(({ grad }) => values(grad)) });
    for (const one of parameters) one.grad = null;
  }
} else await scenarios[scenario]();
