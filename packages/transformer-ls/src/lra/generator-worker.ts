/** A thread that draws blocks of examples, one after the other. */
import { parentPort } from 'node:worker_threads';
import { type Block, drawBlock } from './generators.js';

parentPort?.on('message', (block: Block) => parentPort?.postMessage(drawBlock(block)));
