/**
 * What other files an ONNX graph asks for. The engine is handed graphs as bytes; a file that a graph names, and that was not handed over
 * with it, is sought in the folder in which the program happens to run, so that a graph of someone else's could read files of the user's
 * as its weights. So graphs are looked through before the engine gets them. Only what can hold a tensor is entered.
 */
import { quoted } from '@transformer-ls/formats';
import { RuntimeError } from '../errors.js';
import { Fields, WireError } from './wire.js';

/** Messages inside each other, as many as engines read. */
const DEEPEST_MESSAGE = 100;
/** Bytes of a name that are looked at; names of a model's files are shorter. */
const LONGEST_NAME = 256;
/** Marks a file as one of the engine's own format, which it reads in another way. */
const OTHER_FORMAT = 'ORTM';
const OTHER_FORMAT_AT = 4;

/** `mainGraph` and `weight`: of the whole model, where the engine takes what was handed over. */
type Message =
  | 'model'
  | 'mainGraph'
  | 'graph'
  | 'training'
  | 'function'
  | 'node'
  | 'attribute'
  | 'sparse'
  | 'weight'
  | 'tensor';

/** Fields that hold tensors or lead to some, as onnx.proto numbers them. */
const INSIDE: Record<Exclude<Message, 'weight' | 'tensor'>, Readonly<Record<number, Message>>> = {
  model: { 7: 'mainGraph', 20: 'training', 25: 'function' },
  mainGraph: { 1: 'node', 5: 'weight', 15: 'sparse' },
  graph: { 1: 'node', 5: 'tensor', 15: 'sparse' },
  training: { 1: 'graph', 2: 'graph' },
  function: { 7: 'node', 11: 'attribute' },
  node: { 5: 'attribute' },
  attribute: { 5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse', 23: 'sparse' },
  sparse: { 1: 'tensor', 2: 'tensor' },
};
const EXTERNAL_DATA = 13;
const DATA_LOCATION = 14;
const KEY = 1;
const VALUE = 2;

// A mark of the byte order would not be read as part of a name, and the engine does read it so.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/**
 * Refuses a graph that asks for another file than those that are handed over with it.
 *
 * @param name of the graph, for messages
 * @param files names of what is handed over
 * @throws RuntimeError in one line
 */
export function checkGraphFiles(name: string, graph: Uint8Array, files: ReadonlySet<string>): void {
  const refuse = (reason: string): never => {
    throw new RuntimeError('damaged', `${name} cannot be loaded: ${reason}`);
  };
  const format = decoder.decode(graph.subarray(OTHER_FORMAT_AT, OTHER_FORMAT_AT + OTHER_FORMAT.length));
  if (format === OTHER_FORMAT) refuse('it is no ONNX graph, but one of a format of the engine alone');

  const look = (message: Message, start: number, end: number, depth: number): void => {
    if (depth > DEEPEST_MESSAGE)
      throw new WireError(`more than ${DEEPEST_MESSAGE} messages lie in each other`);
    if (message === 'weight' || message === 'tensor') {
      lookAtTensor(message, start, end);
      return;
    }
    const inside = INSIDE[message];
    const fields = new Fields(graph, start, end);
    while (fields.next()) {
      const next = fields.isBytes ? inside[fields.number] : undefined;
      if (next !== undefined) look(next, fields.start, fields.end, depth + 1);
    }
  };

  const lookAtTensor = (message: 'weight' | 'tensor', start: number, end: number): void => {
    let isElsewhere = false;
    let isNamed = false;
    const fields = new Fields(graph, start, end);
    while (fields.next()) {
      if (fields.number === DATA_LOCATION) isElsewhere ||= fields.isSet;
      if (fields.number !== EXTERNAL_DATA || !fields.isBytes) continue;
      const file = fileNamed(graph, fields.start, fields.end);
      if (file === undefined) continue;
      isNamed = true;
      if (!files.has(file))
        refuse(`weights of it lie in ${quoted(file)}, which is none of the model's files`);
      // The engine takes these from a file of that name in the current folder, whatever it was handed.
      if (message === 'tensor')
        refuse(`a constant inside it lies in ${quoted(file)}, where only weights of the whole graph may lie`);
    }
    if (isElsewhere && !isNamed) refuse('weights of it lie in a file that it does not name');
  };

  try {
    look('model', 0, graph.length, 0);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    refuse(`it is no ONNX graph (${error.message})`);
  }
}

/** The file that one entry of a tensor's external data names; undefined: it says something else. */
function fileNamed(bytes: Uint8Array, start: number, end: number): string | undefined {
  let key = '';
  let value = '';
  const fields = new Fields(bytes, start, end);
  while (fields.next()) {
    if (!fields.isBytes || (fields.number !== KEY && fields.number !== VALUE)) continue;
    const text = decoder.decode(
      bytes.subarray(fields.start, Math.min(fields.end, fields.start + LONGEST_NAME)),
    );
    if (fields.number === KEY) key = text;
    else value = text;
  }
  return key === 'location' ? value : undefined;
}
