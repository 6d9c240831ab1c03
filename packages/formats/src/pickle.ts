/**
 * A restricted reader of Python pickles: it runs no code, whatever a file says. Of the pickle machine it knows the opcodes that build
 * data (protocols 1 to 5). A class or function is a name that the caller's handlers either know, and say what stands for its calls,
 * or refuse.
 *
 * Source: the opcodes are those of Python's `pickletools` documentation.
 */
import { quoted } from './describe-value.js';
import { PickleError } from './pickle-error.js';
import {
  describePickle,
  InertObject,
  PickleDict,
  PickleGlobal,
  PickleObject,
  type PickleValue,
  shortestInteger,
} from './pickle-values.js';

/** Opcodes of one pickle. What each can add to the memory is bounded, so this bounds the memory. */
export const MOST_PICKLE_OPCODES = 2 ** 23;
export const MOST_PICKLE_STACK = 2 ** 22;
export const MOST_PICKLE_MEMO = 2 ** 20;
/** Open marks: how deep lists, tuples and dicts are being built inside each other. */
export const DEEPEST_PICKLE_MARKS = 1000;
/** Bytes of one text. */
export const LARGEST_PICKLE_TEXT = 2 ** 28;
/** Bytes of one whole number. */
export const LARGEST_PICKLE_INTEGER = 1024;
/** Bytes of an argument that ends with its line: names and numbers. */
export const LONGEST_PICKLE_LINE = 1024;
const NEWEST_PROTOCOL = 5;

export interface PickleHandlers {
  /** What a class or function stands for; undefined: it is refused. */
  readonly findGlobal: (module: string, name: string) => PickleGlobal | undefined;
  /** What a persistent id stands for; without this, one is refused. */
  readonly persistentId?: (id: PickleValue) => PickleValue;
}

/** Data only: every class and function is refused. */
export const noGlobals: PickleHandlers = { findGlobal: () => undefined };

/**
 * Reads the pickle at the start of `bytes`. Byte strings are views of `bytes`.
 *
 * @returns the value, and the bytes up to and with the end mark (others may follow: some files hold several pickles)
 * @throws PickleError for everything that is not sound or not allowed
 */
export function readPickle(
  bytes: Uint8Array,
  handlers: PickleHandlers = noGlobals,
): { value: PickleValue; bytesRead: number } {
  const machine = new PickleMachine(bytes, handlers);
  const value = machine.run();
  return { value, bytesRead: machine.position };
}

interface Opcode {
  readonly name: string;
  /** Absent: known, and refused. */
  readonly run?: (machine: PickleMachine) => void;
}

/** Reads opcode after opcode; never recurses, so that no file can make it run out of stack. */
class PickleMachine {
  position = 0;
  readonly #view: DataView;
  readonly #stack: PickleValue[] = [];
  /** Heights of the stack at the open marks. */
  readonly #marks: number[] = [];
  readonly #memo = new Map<number, PickleValue>();

  constructor(
    private readonly bytes: Uint8Array,
    readonly handlers: PickleHandlers,
  ) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  run(): PickleValue {
    for (let count = 0; count < MOST_PICKLE_OPCODES; count += 1) {
      const at = this.position;
      const code = this.unsigned(1);
      if (code === STOP) return this.pop();
      const opcode = opcodes.get(code);
      if (opcode === undefined)
        throw new PickleError(
          'unknown-opcode',
          `byte ${at}: expected a pickle opcode, received byte ${code}`,
        );
      if (opcode.run === undefined)
        throw new PickleError('unsupported-opcode', `byte ${at}: the opcode ${opcode.name} is not supported`);
      opcode.run(this);
    }
    throw new PickleError('too-large', `expected at most ${MOST_PICKLE_OPCODES} opcodes`);
  }

  // Arguments

  /** Bytes as they stand. */
  take(length: number): Uint8Array {
    const left = this.bytes.length - this.position;
    if (length > left)
      throw new PickleError(
        'truncated',
        `byte ${this.position}: expected ${length} more bytes, received ${left}`,
      );
    this.position += length;
    return this.bytes.subarray(this.position - length, this.position);
  }

  /** A little-endian size or number of 1, 2, 4 or 8 bytes. */
  unsigned(size: 1 | 2 | 4 | 8): number {
    const at = this.position;
    this.take(size);
    if (size === 1) return this.#view.getUint8(at);
    if (size === 2) return this.#view.getUint16(at, true);
    if (size === 4) return this.#view.getUint32(at, true);
    return Number(this.#view.getBigUint64(at, true));
  }

  signed32(): number {
    this.take(4);
    return this.#view.getInt32(this.position - 4, true);
  }

  float(): number {
    this.take(8);
    return this.#view.getFloat64(this.position - 8);
  }

  text(length: number): string {
    const at = this.position;
    if (length > LARGEST_PICKLE_TEXT)
      throw new PickleError('too-large', `byte ${at}: a text has ${length} bytes`);
    return this.decoded(this.take(length), at);
  }

  /** An argument up to the end of its line. */
  line(): string {
    const at = this.position;
    const end = this.bytes.subarray(at, at + LONGEST_PICKLE_LINE).indexOf(10);
    if (end < 0)
      throw new PickleError(
        'truncated',
        `byte ${at}: expected a line of at most ${LONGEST_PICKLE_LINE} bytes`,
      );
    const line = this.decoded(this.take(end), at);
    this.take(1);
    return line;
  }

  /** A decimal whole number up to the end of its line. */
  decimal(): number | bigint {
    const line = this.line();
    if (!/^-?\d+L?$/.test(line)) throw invalid(`expected a whole number, received ${quoted(line)}`);
    return shortestInteger(BigInt(line.replace('L', '')));
  }

  /** A whole number of `length` little-endian bytes, two's complement. */
  integer(length: number): number | bigint {
    if (length > LARGEST_PICKLE_INTEGER)
      throw new PickleError('too-large', `byte ${this.position}: a whole number has ${length} bytes`);
    const hex = Array.from(this.take(length).toReversed(), (byte) => byte.toString(16).padStart(2, '0'));
    return length === 0 ? 0 : shortestInteger(BigInt.asIntN(8 * length, BigInt(`0x${hex.join('')}`)));
  }

  private decoded(bytes: Uint8Array, at: number): string {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      throw invalid(`byte ${at}: expected text in UTF-8`);
    }
  }

  // Stack

  push(value: PickleValue): void {
    if (this.#stack.length >= MOST_PICKLE_STACK)
      throw new PickleError('too-large', `expected at most ${MOST_PICKLE_STACK} values on the stack`);
    this.#stack.push(value);
  }

  pop(): PickleValue {
    const value = this.top();
    this.#stack.pop();
    return value;
  }

  /** The last value; those before the last mark are out of reach. */
  top(): PickleValue {
    if (this.#stack.length <= (this.#marks.at(-1) ?? 0))
      throw new PickleError('stack', `byte ${this.position}: expected a value on the stack`);
    return this.#stack.at(-1)!;
  }

  mark(): void {
    if (this.#marks.length >= DEEPEST_PICKLE_MARKS)
      throw new PickleError('too-large', `expected at most ${DEEPEST_PICKLE_MARKS} open marks`);
    this.#marks.push(this.#stack.length);
  }

  /** The values since the last mark, which is closed. */
  popMark(): PickleValue[] {
    const height = this.#marks.pop();
    if (height === undefined)
      throw new PickleError('stack', `byte ${this.position}: expected a mark on the stack`);
    return this.#stack.splice(height);
  }

  /** Removes a mark where nothing lies on it, else a value. */
  drop(): void {
    if (this.#marks.at(-1) === this.#stack.length) this.#marks.pop();
    else this.pop();
  }

  last(count: number): PickleValue[] {
    return Array.from({ length: count }, () => this.pop()).reverse();
  }

  // Memo

  remember(place: number = this.#memo.size): void {
    if (this.#memo.size >= MOST_PICKLE_MEMO)
      throw new PickleError('too-large', `expected at most ${MOST_PICKLE_MEMO} values in the memo`);
    this.#memo.set(place, this.top());
  }

  recall(place: number): void {
    const value = this.#memo.get(place);
    if (value === undefined) throw new PickleError('memo', `the memo holds nothing at ${place}`);
    this.push(value);
  }

  // Containers

  /** The last value, which must be a list, dict or set. */
  container<T extends PickleValue>(kind: string, is: (value: PickleValue) => value is T): T {
    const value = this.top();
    if (is(value)) return value;
    throw new PickleError(
      'wrong-type',
      `byte ${this.position}: expected a ${kind} on the stack, received ${describePickle(value)}`,
    );
  }

  setItems(pairs: readonly PickleValue[]): void {
    if (pairs.length % 2 !== 0)
      throw new PickleError('stack', `byte ${this.position}: expected keys with their values`);
    const dict = this.container('dict', isDict);
    for (let i = 0; i < pairs.length; i += 2) dict.set(pairs[i]!, pairs[i + 1]!);
  }

  // Names and what is made with them

  pushGlobal(module: string, name: string): void {
    const known = this.handlers.findGlobal(module, name);
    if (known === undefined)
      throw new PickleError('forbidden-global', `the global ${quoted(`${module}.${name}`)} is not allowed`);
    this.push(known);
  }

  call(type: PickleValue, args: PickleValue): void {
    if (!Array.isArray(args))
      throw new PickleError(
        'wrong-type',
        `expected the arguments of ${describePickle(type)}, received ${describePickle(args)}`,
      );
    if (type instanceof InertObject) this.push(type.call(args));
    else if (type instanceof PickleGlobal && type.call !== undefined) this.push(type.call(args));
    else throw new PickleError('forbidden-call', `a call of ${describePickle(type)} is not allowed`);
  }

  /** Sets the state of an object; that of a dict with attributes is passed over. */
  build(state: PickleValue): void {
    const target = this.container('object', isObjectOrDict);
    if (target instanceof PickleObject) target.setState(state);
  }

  persistent(id: PickleValue): void {
    const { persistentId } = this.handlers;
    if (persistentId === undefined)
      throw new PickleError('persistent-id', `a persistent id (${describePickle(id)}) is not allowed`);
    this.push(persistentId(id));
  }
}

const isList = (value: PickleValue) => Array.isArray(value) || value instanceof InertObject;
const isDict = (value: PickleValue) => value instanceof PickleDict || value instanceof InertObject;
const isSet = (value: PickleValue) => value instanceof Set;
const isObjectOrDict = (value: PickleValue) => value instanceof PickleObject || value instanceof PickleDict;

function dictOf(machine: PickleMachine, pairs: readonly PickleValue[]): void {
  machine.push(new PickleDict());
  machine.setItems(pairs);
}

/** The names come as text. */
function stackGlobal(machine: PickleMachine): void {
  const [module, name] = machine.last(2);
  if (typeof module !== 'string' || typeof name !== 'string')
    throw invalid(`expected the name of a global, received ${describePickle(name)}`);
  machine.pushGlobal(module, name);
}

function protocol(machine: PickleMachine): void {
  const version = machine.unsigned(1);
  if (version > NEWEST_PROTOCOL)
    throw new PickleError(
      'unsupported-opcode',
      `expected a pickle protocol up to ${NEWEST_PROTOCOL}, received ${version}`,
    );
}

/** `I00` and `I01` are the booleans of the oldest protocols. */
function decimalOrBoolean(machine: PickleMachine): PickleValue {
  const start = machine.position;
  const line = machine.line();
  if (line === '00' || line === '01') return line === '01';
  machine.position = start;
  return machine.decimal();
}

const STOP = 46;

/** Opcodes by the character that stands for them. */
const opcodes: ReadonlyMap<number, Opcode> = new Map(
  Object.entries<Opcode>({
    // How the file is cut; numbers and constants
    '\x80': { name: 'PROTO', run: protocol },
    '\x95': { name: 'FRAME', run: (m) => void m.unsigned(8) },
    N: { name: 'NONE', run: (m) => m.push(null) },
    '\x88': { name: 'NEWTRUE', run: (m) => m.push(true) },
    '\x89': { name: 'NEWFALSE', run: (m) => m.push(false) },
    I: { name: 'INT', run: (m) => m.push(decimalOrBoolean(m)) },
    L: { name: 'LONG', run: (m) => m.push(m.decimal()) },
    K: { name: 'BININT1', run: (m) => m.push(m.unsigned(1)) },
    M: { name: 'BININT2', run: (m) => m.push(m.unsigned(2)) },
    J: { name: 'BININT', run: (m) => m.push(m.signed32()) },
    '\x8a': { name: 'LONG1', run: (m) => m.push(m.integer(m.unsigned(1))) },
    '\x8b': { name: 'LONG4', run: (m) => m.push(m.integer(m.unsigned(4))) },
    G: { name: 'BINFLOAT', run: (m) => m.push(m.float()) },
    // Bytes and text; strings of Python 2 are bytes
    U: { name: 'SHORT_BINSTRING', run: (m) => m.push(m.take(m.unsigned(1))) },
    T: { name: 'BINSTRING', run: (m) => m.push(m.take(m.unsigned(4))) },
    C: { name: 'SHORT_BINBYTES', run: (m) => m.push(m.take(m.unsigned(1))) },
    B: { name: 'BINBYTES', run: (m) => m.push(m.take(m.unsigned(4))) },
    '\x8e': { name: 'BINBYTES8', run: (m) => m.push(m.take(m.unsigned(8))) },
    '\x96': { name: 'BYTEARRAY8', run: (m) => m.push(m.take(m.unsigned(8))) },
    '\x8c': { name: 'SHORT_BINUNICODE', run: (m) => m.push(m.text(m.unsigned(1))) },
    X: { name: 'BINUNICODE', run: (m) => m.push(m.text(m.unsigned(4))) },
    '\x8d': { name: 'BINUNICODE8', run: (m) => m.push(m.text(m.unsigned(8))) },
    // Lists, tuples, dicts, sets
    ']': { name: 'EMPTY_LIST', run: (m) => m.push([]) },
    a: { name: 'APPEND', run: append },
    e: { name: 'APPENDS', run: appends },
    l: { name: 'LIST', run: (m) => m.push(m.popMark()) },
    ')': { name: 'EMPTY_TUPLE', run: (m) => m.push([]) },
    '\x85': { name: 'TUPLE1', run: (m) => m.push(m.last(1)) },
    '\x86': { name: 'TUPLE2', run: (m) => m.push(m.last(2)) },
    '\x87': { name: 'TUPLE3', run: (m) => m.push(m.last(3)) },
    t: { name: 'TUPLE', run: (m) => m.push(m.popMark()) },
    '}': { name: 'EMPTY_DICT', run: (m) => m.push(new PickleDict()) },
    d: { name: 'DICT', run: (m) => dictOf(m, m.popMark()) },
    s: { name: 'SETITEM', run: (m) => m.setItems(m.last(2)) },
    u: { name: 'SETITEMS', run: (m) => m.setItems(m.popMark()) },
    '\x8f': { name: 'EMPTY_SET', run: (m) => m.push(new Set()) },
    '\x90': { name: 'ADDITEMS', run: addItems },
    '\x91': { name: 'FROZENSET', run: (m) => m.push(new Set(m.popMark())) },
    // Stack and memo
    '0': { name: 'POP', run: (m) => m.drop() },
    '1': { name: 'POP_MARK', run: (m) => void m.popMark() },
    '2': { name: 'DUP', run: (m) => m.push(m.top()) },
    '(': { name: 'MARK', run: (m) => m.mark() },
    g: { name: 'GET', run: (m) => m.recall(Number(m.decimal())) },
    h: { name: 'BINGET', run: (m) => m.recall(m.unsigned(1)) },
    j: { name: 'LONG_BINGET', run: (m) => m.recall(m.unsigned(4)) },
    p: { name: 'PUT', run: (m) => m.remember(Number(m.decimal())) },
    q: { name: 'BINPUT', run: (m) => m.remember(m.unsigned(1)) },
    r: { name: 'LONG_BINPUT', run: (m) => m.remember(m.unsigned(4)) },
    '\x94': { name: 'MEMOIZE', run: (m) => m.remember() },
    // Names, and what is made with them
    c: { name: 'GLOBAL', run: (m) => m.pushGlobal(m.line(), m.line()) },
    '\x93': { name: 'STACK_GLOBAL', run: stackGlobal },
    R: { name: 'REDUCE', run: callLast },
    '\x81': { name: 'NEWOBJ', run: callLast },
    b: { name: 'BUILD', run: (m) => m.build(m.pop()) },
    P: { name: 'PERSID', run: (m) => m.persistent(m.line()) },
    Q: { name: 'BINPERSID', run: (m) => m.persistent(m.pop()) },
    // No file that is read here needs these
    S: { name: 'STRING' },
    V: { name: 'UNICODE' },
    F: { name: 'FLOAT' },
    i: { name: 'INST' },
    o: { name: 'OBJ' },
    '\x92': { name: 'NEWOBJ_EX' },
    '\x82': { name: 'EXT1' },
    '\x83': { name: 'EXT2' },
    '\x84': { name: 'EXT4' },
    '\x97': { name: 'NEXT_BUFFER' },
    '\x98': { name: 'READONLY_BUFFER' },
  }).map(([character, opcode]) => [character.charCodeAt(0), opcode]),
);

function append(machine: PickleMachine): void {
  const value = machine.pop();
  machine.container('list', isList).push(value);
}

function appends(machine: PickleMachine): void {
  const values = machine.popMark();
  const list = machine.container('list', isList);
  for (const value of values) list.push(value);
}

function addItems(machine: PickleMachine): void {
  const values = machine.popMark();
  const set = machine.container('set', isSet);
  for (const value of values) set.add(value);
}

function callLast(machine: PickleMachine): void {
  const [type, args] = machine.last(2);
  machine.call(type!, args!);
}

function invalid(message: string): PickleError {
  return new PickleError('invalid-argument', message);
}
