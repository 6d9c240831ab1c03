// One layer of long-short attention in a model of your own. The task needs the whole sequence: one of four rare tokens stands somewhere
// among 500 common ones, far outside any window, and the last token has to say which. After some 300 steps it finds out how.
// Run: node examples/own-model.mjs [steps]
import {
  AdamW,
  crossEntropy,
  Embedding,
  LayerNorm,
  Linear,
  Module,
  manualSeed,
  scope,
  tensor,
} from '@transformer-ls/torch';
import { BidirectionalAttention } from 'transformer-ls';

const LENGTH = 500;
const BATCH = 16;
const COMMON = 12;
const RARE = 4;
const DIM = 32;

class Finder extends Module {
  constructor() {
    super();
    this.embedding = this.child('embedding', new Embedding({ count: COMMON + RARE, dim: DIM }));
    this.attention = this.child(
      'attention',
      new BidirectionalAttention({
        modelDim: DIM,
        heads: 2,
        windowSize: 16,
        projectionRank: 8,
        convolutionSize: null,
        attentionDropout: 0,
        mode: 'consistent',
      }),
    );
    this.norm = this.child('norm', new LayerNorm({ dim: DIM }));
    this.head = this.child('head', new Linear({ inFeatures: DIM, outFeatures: RARE }));
  }

  /** (B, L) ids to (B, RARE) logits, from the last token alone. */
  forward(/** @type {import('@transformer-ls/torch').Tensor} */ ids) {
    const seen = this.attention.forward(this.embedding.forward(ids), null);
    return this.head.forward(this.norm.forward(seen.select(1, LENGTH - 1)));
  }
}

function draw() {
  const answers = Array.from({ length: BATCH }, () => Math.floor(Math.random() * RARE));
  const ids = answers.map((answer) => {
    const row = Array.from({ length: LENGTH }, () => Math.floor(Math.random() * COMMON));
    row[Math.floor(Math.random() * (LENGTH - 100))] = COMMON + answer;
    return row;
  });
  return { ids: tensor(ids, { dtype: 'int64' }), answers: tensor(answers, { dtype: 'int64' }) };
}

const steps = Number(process.argv[2] ?? 600);
manualSeed(1);
const model = new Finder();
const optimizer = new AdamW(model.parameters(), { learningRate: 1e-2 });
for (let step = 1; step <= steps; step++)
  // What a step makes is freed at its end; the model and the optimiser belong to no scope.
  scope(() => {
    const { ids, answers } = draw();
    const logits = model.forward(ids);
    const loss = crossEntropy(logits, answers);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
    if (step % 20 !== 0 && step !== steps) return;
    const right = logits.argmax(1).eq(answers).to('float32').mean();
    console.log(`step ${step}: loss ${loss.item().toFixed(3)}, ${(100 * right.item()).toFixed(0)} % right`);
  });
