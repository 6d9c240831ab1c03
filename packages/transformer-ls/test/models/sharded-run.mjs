// One of several processes, started by sharded.test.ts: runs models on sequences that are spread over all and on the same sequences alone,
// in float64, and prints how far results and gradients are apart.
const [, , cli, settings] = process.argv;
const load = (path) => import(new URL(`../${path}`, `file://${cli}/`));
const torch = await import(
  new URL('../../../node_modules/@transformer-ls/torch/src/index.js', `file://${cli}/`)
);
const { createLanguageModel } = await load('models/language-model/create.js');
const { carryMemory, memoryOfLast, memoryTensors } = await load('models/language-model/memory.js');
const { SequenceClassifier } = await load('models/sequence-classifier/model.js');
const { CheckpointedBlocks } = await load('train/checkpointed-blocks.js');
const { Precision } = await load('train/precision.js');

const membership = torch.membershipFrom();
const { rank, world } = membership;
const place = torch.meet(membership, 120);
const group = new torch.ProcessGroup({ backend: 'gloo', rank, world, timeoutSeconds: 120, ...place });
torch.setNumThreads(1);

/** Weights that no part of the model is blind to. */
function randomized(model) {
  torch.manualSeed(7);
  model.to({ dtype: 'float64' });
  torch.noGrad(() => {
    for (const one of model.parameters())
      one.copy_(torch.randn([...one.shape], { dtype: 'float64' }).mul(0.3));
  });
  return model;
}

const difference = (a, b) => {
  if (String(a.shape) !== String(b.shape)) throw new Error(`shapes ${a.shape} and ${b.shape}`);
  return a.numel === 0 ? 0 : a.sub(b).abs().max().item() / Math.max(1, b.abs().max().item());
};

const gradientsOf = (model) => model.parameters().map(({ grad }) => grad?.clone() ?? null);

/** Of the whole, how far those that the processes have together are from them; both models are the same one. */
function gradientDifference(model, whole) {
  return Math.max(
    ...model.parameters().map(({ grad, shape }, i) => {
      const sum = grad?.clone().contiguous() ?? torch.zeros([...shape], { dtype: 'float64' });
      group.allReduce(sum).wait();
      return difference(sum, whole[i] ?? torch.zeros([...shape], { dtype: 'float64' }));
    }),
  );
}

const randomIds = (shape, most) => torch.randint(1, most, shape);

/** Segments of a stream one after the other, with the memory that goes from one to the next. */
function languageModel({ config, lengths, segments, checkpointed = false }) {
  const model = randomized(createLanguageModel(config));
  const sequence = new torch.ShardedSequence(group, lengths);
  const B = 2;
  const V = config.vocabularySize;
  let [alone, spread] = [model.emptyMemory(B), model.emptyMemory(B)];
  const found = { results: 0, gradients: 0, memory: 0 };
  for (let segment = 0; segment < segments; segment++) {
    torch.manualSeed(100 + segment);
    const ids = randomIds([B, sequence.total], V);
    const weights = torch.randn([B, sequence.total, V], { dtype: 'float64' });
    const own = (x) => x.narrow(1, sequence.start, sequence.own);
    model.zeroGrad();
    const whole = model.forward(ids, alone);
    whole.logits.mul(weights).sum().backward();
    const wanted = gradientsOf(model);
    model.zeroGrad();
    let part;
    if (checkpointed) {
      const blocks = new CheckpointedBlocks(new Precision('float32', 'cpu'));
      part = model.forwardThrough(blocks.run, own(ids), spread, { sequence });
      blocks.backward(part.logits.mul(own(weights)).sum());
    } else {
      part = model.forward(own(ids), spread, { sequence });
      part.logits.mul(own(weights)).sum().backward();
    }
    found.results = Math.max(found.results, difference(part.logits, own(whole.logits)));
    found.gradients = Math.max(found.gradients, gradientDifference(model, wanted));
    [alone, spread] = [carryMemory(whole.memory), memoryOfLast(part.memory, group)];
    const expected = memoryTensors(alone);
    for (const [name, one] of memoryTensors(spread))
      found.memory = Math.max(found.memory, difference(one, expected.get(name)));
  }
  return found;
}

function classifier({ config, lengths, padding = null, inputs = 1 }) {
  const model = randomized(new SequenceClassifier(config));
  const sequence = new torch.ShardedSequence(group, lengths);
  torch.manualSeed(100);
  const B = 3;
  const own = (x) => x.narrow(1, sequence.start, sequence.own);
  const documents = Array.from({ length: inputs }, () => {
    const ids = randomIds([B, sequence.total], config.vocabularySize);
    if (padding === null) return { ids, mask: null };
    const place = torch.arange(0, sequence.total).unsqueeze(0);
    return { ids, mask: place.lt(torch.tensor(padding).unsqueeze(1)) };
  });
  const weights = torch.randn([B, config.classes], { dtype: 'float64' });
  const whole = model.forward(...documents);
  whole.mul(weights).sum().backward();
  const wanted = gradientsOf(model);
  model.zeroGrad();
  const parts = documents.map(({ ids, mask }) => ({
    ids: own(ids),
    mask: mask === null ? null : own(mask).contiguous(),
    sequence,
  }));
  const part = model.forward(...parts);
  // Each process has the loss of all, and takes its share of it.
  part
    .mul(weights)
    .sum()
    .mul(1 / world)
    .backward();
  return { results: difference(part, whole), gradients: gradientDifference(model, wanted) };
}

for (const { fused, kind, ...options } of JSON.parse(settings)) {
  torch.setFusedOperators(fused);
  const found = torch.scope(() => (kind === 'language-model' ? languageModel(options) : classifier(options)));
  console.log(JSON.stringify(found));
}
group.barrier().wait();
