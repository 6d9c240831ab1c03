import { fuzzTests } from './fuzz-runs.js';

fuzzTests(1500);
