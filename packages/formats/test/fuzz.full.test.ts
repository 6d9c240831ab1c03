import { fuzzTests } from './fuzz-runs.js';

fuzzTests(40_000);
