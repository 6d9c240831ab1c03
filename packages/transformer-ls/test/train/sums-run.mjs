// Sums of a few numbers with the processes beside this one: prints the bits of what came out, by the ring and in pairs.
const [, , cli] = process.argv;
const torch = await import(
  new URL('../../../node_modules/@transformer-ls/torch/src/index.js', `file://${cli}/`)
);
const { sumOfFew } = await import(new URL('../train/sum-of-few.js', `file://${cli}/`));

const membership = torch.membershipFrom();
const { rank, world } = membership;
const group = new torch.ProcessGroup({
  backend: 'gloo',
  rank,
  world,
  timeoutSeconds: 120,
  ...torch.meet(membership, 120),
});
const exact = sumOfFew(group, [1, rank, 2 ** rank]);
const thirds = Array.from({ length: 5 }, (_, i) => sumOfFew(group, [1 / (3 + rank * i)])[0]);
group.barrier().wait();
console.log(
  JSON.stringify({
    exact,
    bits: thirds.map((one) => Buffer.from(Float64Array.of(one).buffer).toString('hex')),
    thirds,
  }),
);
