/**
 * Every benchmark: what it answers, how long it takes with its defaults on two cores, and the arguments of a smoke run. `takes` are the
 * arguments that `npm run bench -- all` passes on; without what it `needs` a benchmark is left out.
 */

const SIDE_BY_SIDE = ['reference-clone', 'also', 'threads'];

export const CATALOGUE = {
  'attention-layer': {
    question:
      'How long does a layer of attention take, forward and with backward, beside the published module?',
    minutes: 15,
    takes: SIDE_BY_SIDE,
    quick: ['--cases', 'bidirectional-64', '--rounds', '1', '--threads', '1'],
  },
  'attention-length': {
    question: 'How do time and memory of a layer grow with length, from 512 to a million tokens?',
    minutes: 45,
    takes: [...SIDE_BY_SIDE, 'pictures'],
    quick: ['--layer', '64', '--lengths', '512,1024', '--rounds', '1', '--threads', '1'],
  },
  'longest-sequence': {
    question: 'How long a sequence fits into 8 GB, forward and backward?',
    minutes: 25,
    takes: SIDE_BY_SIDE,
    quick: ['--memory', '0.6', '--contestants', 'fused', '--threads', '1'],
  },
  'layer-memory': {
    question: 'How much memory does a layer need beyond inputs, output and their gradients?',
    minutes: 8,
    takes: SIDE_BY_SIDE,
    quick: ['--cases', 'bidirectional-64', '--rounds', '1', '--threads', '1'],
  },
  'thread-scaling': {
    question: 'What is a second thread worth, beside what it is worth to a plain product? (needs no Python)',
    minutes: 10,
    takes: [],
    quick: ['--cases', 'bidirectional-64', '--rounds', '1'],
  },
  'process-scaling': {
    question:
      'What is a second process worth in training, and what does the exchange cost? (needs no Python)',
    minutes: 5,
    takes: [],
    quick: ['--preset', 'debug', '--batch', '2', '--segment', '32', '--steps', '2', '--rounds', '1'],
  },
  'sequence-parallel': {
    question:
      'What does it cost to spread one sequence over processes, and what memory does it save? (needs no Python)',
    minutes: 6,
    takes: [],
    quick: ['--length', '4096', '--rounds', '1'],
  },
  'event-streams': {
    question: 'What does training lose to the dashboard and to 1,000 pages that follow it? (needs no Python)',
    minutes: 11,
    takes: ['threads'],
    quick: ['--clients', '10', '--rounds', '2', '--seconds', '2', '--threads', '1'],
  },
  'scaling-model': {
    question:
      'What would 8 to 1,024 processes be worth in training? A model, not a measurement (needs no Python)',
    minutes: 1,
    takes: [],
    quick: ['--recipes', 'lra/listops', '--processes', '8,64'],
  },
  'training-step': {
    question: 'How long does a training step take, beside the same model in PyTorch?',
    minutes: 40,
    takes: SIDE_BY_SIDE,
    quick: ['--cases', 'reference/tiny', '--rounds', '1', '--threads', '1'],
  },
  'vision-forward': {
    question: 'How long does a forward pass of a published vision model take, beside the published module?',
    minutes: 5,
    takes: SIDE_BY_SIDE,
    quick: ['--model', 'vil-ls-tiny', '--batches', '1', '--rounds', '1', '--threads', '1'],
  },
  'resolution-cost': {
    question:
      'What does a larger image cost, with long-short attention and with full attention? (needs no Python)',
    minutes: 50,
    takes: ['pictures'],
    quick: ['--cases', 'attention', '--sides', '64', '--rounds', '1', '--threads', '1'],
  },
  optimizer: {
    question: "How long does an AdamW step take, beside PyTorch's, and what part of the memory's rate is it?",
    minutes: 3,
    takes: ['also', 'threads'],
    quick: ['--millions', '1', '--rounds', '1', '--threads', '1'],
  },
  'streaming-cost': {
    question: 'What does one more token cost after prompts of 1k to 256k bytes? (needs no Python)',
    minutes: 8,
    takes: ['threads'],
    quick: ['--preset', 'debug', '--prompts', '256,20000', '--tokens', '8', '--threads', '1'],
  },
  'text-loader': {
    question: 'How long does reading text take beside the training step that consumes it? (needs no Python)',
    minutes: 2,
    takes: ['threads'],
    quick: ['--cases', 'consistent/tiny', '--batches', '20', '--steps', '1', '--threads', '1'],
  },
  'image-loader': {
    question: "How many pictures a second does the loader make ready, beside timm's? (takes a Python)",
    minutes: 10,
    takes: ['data'],
    needs: ['data'],
    quick: ['--cases', 'cifar10', '--rounds', '1', '--seconds', '1'],
  },
  inference: {
    question:
      'How many tokens, documents and pictures a second does an exported model do, beside libtorch and the published code?',
    minutes: 10,
    takes: SIDE_BY_SIDE,
    quick: ['--cases', 'tiny', '--rounds', '1', '--threads', '1'],
  },
  'first-token': {
    question: 'How long does the page take from a cold start to its first token? (needs Chromium)',
    minutes: 2,
    takes: [],
    quick: ['--rounds', '1'],
  },
  'weight-types': {
    question:
      'What do exported weights in fewer bits cost, in bits per character and accuracy? (needs prepared data)',
    minutes: 6,
    takes: ['data-folder'],
    needs: ['data-folder'],
    quick: ['--models', 'listops', '--examples', '10'],
  },
  'peak-memory': {
    question: "How much memory does a training step take at most, beside PyTorch's?",
    minutes: 3,
    takes: [],
    needs: ['TORCH_PYTHON'],
    quick: ['--rounds', '1', '--sizes', '1'],
  },
  'call-cost': {
    question: "What does one call of an operator cost, beside Python's own?",
    minutes: 2,
    takes: [],
    needs: ['TORCH_PYTHON'],
    quick: ['--rounds', '1', '--calls', '100'],
  },
};
