// Calls everything with everything, from a seed. Before each call its description goes to a file, so that the test that
// started this process can name the call that ended it. Prints one line per error of a class that no caller expects.
//
//   node hostile-input.mjs <binding | api | operators> <index.js of the sources> <note file> <seed> <calls>
import { openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { hostileValues, Mine, numbers, strings } from './hostile-values.mjs';

const [mode, index, notePath, seed, calls] = process.argv.slice(2);
const torch = await import(index);
const { native } = await import(new URL('./load.js', `file://${index}`));
const note = openSync(notePath, 'w');
process.on('unhandledRejection', () => {}); // promises that hostile functions make

const stream = fc.sample(fc.infiniteStream(fc.nat(2 ** 30)), { seed: Number(seed), numRuns: 1 })[0];
const draw = (count) => stream.next().value % count;
const pick = (list) => list[draw(list.length)];
const several = (most, make) => Array.from({ length: draw(most + 1) }, make);

let pool = [];
let picks = 0;
/** Some values can be used up (detached, frozen by use), so the pool is made anew now and then. */
function hostile() {
  if (picks++ % 64 === 0) pool = hostileValues();
  return pick(pool);
}

function describe(value) {
  try {
    const text =
      typeof value === 'number' || typeof value === 'string'
        ? JSON.stringify(value)
        : inspect(value, { depth: 1, maxArrayLength: 8 });
    return String(text).replace(/\s+/g, ' ').slice(0, 120);
  } catch {
    return '<hostile object>';
  }
}

function writeNote(text) {
  const line = Buffer.alloc(4000, ' ');
  line.write(text);
  writeSync(note, line, 0, line.length, 0);
}

const complaints = new Set();
function complain(what, call) {
  if (complaints.has(what) || complaints.size > 40) return;
  complaints.add(what);
  console.log(`${what}\n    in ${call}`);
}

/** Runs one call; the set of errors that may come out is the promise of the package. */
function attempt(name, args, run, isExpected) {
  const text = `${name}(${args.map(describe).join(', ')})`;
  writeNote(text);
  try {
    const result = run();
    if (result instanceof Promise) result.catch(() => {});
  } catch (error) {
    if (!isExpected(error))
      complain(`${name}: ${describe(error?.stack?.split('\n').slice(0, 3).join(' | ') ?? error)}`, text);
  }
}

// ---- tensors of all kinds --------------------------------------------------------------------------------------

const DTYPES = [
  'uint8',
  'int8',
  'int16',
  'int32',
  'int64',
  'float16',
  'float32',
  'float64',
  'bool',
  'bfloat16',
];
const SHAPES = [
  [],
  [1],
  [3],
  [2, 3],
  [3, 2],
  [0],
  [2, 0],
  [1, 3, 2],
  [2, 2, 3, 3],
  [1, 1, 1, 1, 1],
  [4, 4],
  [6],
];

function randomTensor() {
  const dtype = pick(DTYPES);
  const device = draw(8) === 0 ? 'meta' : 'cpu';
  const shape = pick(SHAPES);
  let made = torch.zeros(shape, { dtype, device });
  if (device === 'cpu') {
    if (dtype !== 'bool' && draw(3) > 0) made.add_(pick([1, 2, -1, 3]));
    if (dtype === 'int64' && draw(6) === 0) made.fill_(pick([-(2n ** 63n), 2n ** 63n - 1n, -1n]));
    if (dtype === 'int32' && draw(6) === 0) made.fill_(-(2 ** 31));
    if (torch.isFloatingPoint(dtype) && draw(6) === 0)
      made.fill_(pick([Number.NaN, Number.POSITIVE_INFINITY, 6e4]));
  }
  if (shape.length > 1 && draw(4) === 0) made = made.transpose(0, 1);
  if (shape.length > 0 && draw(8) === 0) made = made.slice(0, 0, null, 2);
  if (shape.length === 1 && shape[0] === 1 && draw(2) === 0) made = made.expand([5]);
  if (torch.isFloatingPoint(dtype) && draw(4) === 0) {
    made = made.detach();
    made.requiresGrad = true;
    if (draw(2) === 0) made = made.mul(1);
  }
  return made;
}

function oddTensors() {
  const freed = torch.zeros([2]);
  freed.dispose();
  return [
    freed,
    new torch.Tensor(987_654),
    new torch.Tensor(Number.NaN),
    new torch.Tensor(0.5),
    new torch.Tensor(-7),
    new torch.Tensor('x'),
  ];
}

// ---- the three modes -------------------------------------------------------------------------------------------

const oursFromBridge = (error) =>
  error instanceof Mine || ['TLS_TORCH', 'TLS_ARGUMENT', 'TLS_FREED'].includes(error?.code);
// JavaScript's own: a value that it cannot make a number or a string of (`new Array(4e9)` gives a RangeError).
const fromCoercion = (error) => error instanceof TypeError || error?.message === 'Invalid string length';
const oursFromApi = (error) =>
  error instanceof Mine ||
  error instanceof torch.TorchError ||
  error instanceof torch.DistributedError ||
  fromCoercion(error);

/** What waits for other processes, as long as it is told to, or makes files. */
const MEETS_OTHERS = new Set(['openTcpStore', 'openFileStore', 'openGroup']);

/** The bridge's functions, with handles instead of tensors. */
function fuzzBinding() {
  const bridge = native();
  const names = Object.keys(bridge).filter((name) => !MEETS_OTHERS.has(name));
  const ids = [
    'aten::add',
    'aten::cat',
    'aten::index',
    'aten::zeros',
    'aten::split',
    'aten::item',
    'aten::sum',
  ].map((name) =>
    bridge.findOperator(name, ['aten::add', 'aten::index', 'aten::split'].includes(name) ? 'Tensor' : ''),
  );
  const handle = () =>
    draw(3) === 0 ? pick([-1, 123_456, 2 ** 31 - 1, 2 ** 31, 1e9, Number.NaN, 0.5]) : randomTensor().handle;
  const value = () => [handle, () => hostile(), () => several(3, handle), () => draw(8)][draw(4)]();
  for (let i = 0; i < Number(calls); i++) {
    torch.scope(() => {
      const name = pick(names);
      const args = several(6, value);
      if (name === 'call' && draw(4) > 0) args[0] = pick(ids);
      // Handles freed here would be freed again by their scope; a slot of a real tensor has one owner.
      if (name === 'free' || name === 'freeMany')
        args[0] = pick([
          -1,
          123_456,
          Number.NaN,
          new Int32Array([-1, 99_999]),
          'x',
          undefined,
          new Float64Array(1),
        ]);
      attempt(name, args, () => bridge[name](...args), oursFromBridge);
      bridge.setGradEnabled(true);
    });
  }
}

/** Every exported function, and every method, getter and setter of Tensor. */
function fuzzApi() {
  const functions = Object.keys(torch).filter(
    (name) => typeof torch[name] === 'function' && !/^[A-Z]/.test(name),
  );
  const members = Object.entries(Object.getOwnPropertyDescriptors(torch.Tensor.prototype)).filter(
    ([name]) => name !== 'constructor',
  );
  const value = () =>
    [
      randomTensor,
      () => hostile(),
      () => pick(oddTensors()),
      () => several(3, randomTensor),
      () => pick(numbers()),
    ][draw(5)]();
  for (let i = 0; i < Number(calls); i++) {
    torch.scope(() => {
      const args = several(5, value);
      if (draw(2) === 0) {
        const name = pick(functions);
        attempt(name, args, () => torch[name](...args), oursFromApi);
      } else {
        const [name, { value: method, get, set }] = pick(members);
        const self = draw(6) === 0 ? pick(oddTensors()) : randomTensor();
        const run = method ?? (set && draw(2) === 0 ? set : get);
        if (typeof run === 'function')
          attempt(`${describe(self)}.${name}`, args, () => run.apply(self, args), oursFromApi);
      }
    });
  }
}

/** The names of all operators that the package's own sources use. */
function everydayOperators() {
  const folder = dirname(index);
  const texts = readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith('.js'))
    .map((name) => readFileSync(join(folder, name), 'utf8'));
  return [
    ...new Set(
      texts.flatMap((text) => [...text.matchAll(/operator\('(aten::[^']+)'\)/g)].map((match) => match[1])),
    ),
  ];
}

/** Parameter types of an operator, read from its schema. */
function parameterTypes(name) {
  const text = torch.operatorSchema(name);
  const list = text.slice(text.indexOf('(') + 1, text.lastIndexOf(') ->'));
  return list
    .split(/, (?![^(]*\))/)
    .filter((part) => part !== '*')
    .map(
      (part) =>
        part
          .trim()
          .replace(/\([a-z!|* ->]*\)/, '')
          .split(' ')[0],
    );
}

const smallInteger = () => pick([0, 1, 2, 3, -1, -2, 4, 7, -5, 2 ** 40, -(2 ** 40), 2 ** 53]);
const makers = {
  Tensor: randomTensor,
  'Tensor[]': () => several(3, randomTensor),
  'Tensor?[]': () => several(3, () => (draw(3) === 0 ? null : randomTensor())),
  int: smallInteger,
  SymInt: smallInteger,
  float: () => pick([0, 0.5, 1, -1, Number.NaN, 1e-5, 2, 1e300]),
  bool: () => draw(2) === 0,
  Scalar: () => pick([...numbers().filter((n) => n !== 2n ** 64n), true, false]),
  ScalarType: () => pick(DTYPES),
  str: () => pick(strings()),
  Device: () => pick(['cpu', 'meta', 'cuda', 'nonsense', 'cpu:3']),
};

function plausible(type) {
  if (type.endsWith('?') && draw(3) === 0) return null;
  const plain = type.replace(/\?$/, '');
  if (draw(30) === 0) return hostile();
  if (makers[plain]) return makers[plain]();
  const element = /^(\w+)\[\d*\]$/.exec(plain)?.[1];
  return element !== undefined && makers[element] ? several(4, makers[element]) : undefined;
}

/** Operators with arguments of the right kind and arbitrary shapes, dtypes, devices and numbers. */
function fuzzOperators() {
  const operators = everydayOperators().map((name) => ({
    name,
    types: parameterTypes(name),
    run: torch.operator(name),
  }));
  for (let i = 0; i < Number(calls); i++) {
    torch.scope(() => {
      const { name, types, run } = pick(operators);
      const args = types.map(plausible);
      attempt(
        name,
        args,
        () => {
          const result = run(...args);
          const first = Array.isArray(result) ? result[0] : result;
          if (
            first instanceof torch.Tensor &&
            first.requiresGrad &&
            first.device === 'cpu' &&
            first.numel < 1e6 &&
            draw(2) === 0
          )
            first.sum().backward();
        },
        oursFromApi,
      );
    });
  }
}

({ binding: fuzzBinding, api: fuzzApi, operators: fuzzOperators })[mode]();
writeNote('done');
process.exit(complaints.size === 0 ? 0 : 1);
