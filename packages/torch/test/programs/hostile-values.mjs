// Values that a program should never pass, and some that it may: what the hostile-input programs choose from.

/** Thrown by getters and the like: the program's own exception, which must come out unchanged. */
export class Mine extends Error {}

function throwMine() {
  throw new Mine('thrown by a hostile object');
}

const everyTrap = Object.fromEntries(Object.getOwnPropertyNames(Reflect).map((name) => [name, throwMine]));

function detached() {
  const array = new Float32Array(4);
  structuredClone(array.buffer, { transfer: [array.buffer] });
  return array;
}

function shrunk() {
  const buffer = new ArrayBuffer(32, { maxByteLength: 64 });
  const array = new Float32Array(buffer, 16);
  buffer.resize(8);
  return array;
}

/** An array whose first element detaches the typed array `victim` when it is read. */
function detaching(victim) {
  const shape = [4];
  Object.defineProperty(shape, 0, {
    get() {
      if (victim.byteLength > 0) structuredClone(victim.buffer, { transfer: [victim.buffer] });
      return 4;
    },
  });
  return shape;
}

function throwingElement() {
  return Object.defineProperty([1, 2], 0, { get: throwMine });
}

function circular() {
  const list = [1];
  list.push(list);
  return list;
}

export function numbers() {
  return [Number.NaN, 0, -0, 1, 2, 3, -1, -2, 0.5, 4, 5, 6, 7, 11, 15, 40, 127, 128, 2 ** 40, 2 ** 53, 2 ** 62, -(2 ** 40),
    Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e308, 5e-324, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 64n, 0n, 1n]; // biome-ignore format: a list
}

export function strings() {
  return ['', 'cpu', 'cuda', 'cuda:0', 'cuda:99', 'cpu:7', 'meta', 'nonsense', 'cpu\0x', 'aten::add', 'Tensor', 'float32',
    'float16', 'int64', 'bool', 'sum', 'none', 'tanh', '...', 'ij,jk->ik', '\ud800', 'x'.repeat(10_000)]; // biome-ignore format: a list
}

/** Fresh each time: some can be used only once. */
export function hostileValues() {
  const victim = new Float32Array(4);
  return [
    undefined, null, true, false, ...numbers(), ...strings(), Symbol('s'), () => 1, async () => 1, throwMine, class {},
    {}, [], [1], [1, 2], [-1], [2, 3], [0], [Number.NaN], [1.5], ['1'], [2 ** 40, 2 ** 40], [2 ** 62, 4], [null], [undefined],
    [[1, 2], [3, 4]], [[1], [2, 3]], [true], [1n], circular(), throwingElement(), detaching(victim), victim, new Array(2 ** 32 - 1),
    new Array(100).fill(1), Object.freeze([1, 2]), new Map([[1, 2]]), new Set([1]), new Date(Number.NaN), /x/, new Error('e'),
    new Float32Array(4), new Float64Array(2), new Int32Array([0, 1, 2]), new Int32Array([-1, 5, 1e9]), new BigInt64Array(2),
    new BigUint64Array(2), new Uint8Array(16), new Uint8ClampedArray(4), new Uint16Array(3), new Uint32Array(3), new Int8Array(0),
    new DataView(new ArrayBuffer(8)), new ArrayBuffer(16), new ArrayBuffer(0), detached(), detached().buffer, shrunk(), shrunk().buffer,
    new Float32Array(new SharedArrayBuffer(16)), new SharedArrayBuffer(16), new Float32Array(new ArrayBuffer(16, { maxByteLength: 64 })),
    new Proxy({}, everyTrap), new Proxy([], everyTrap), new Proxy([1, 2], {}), new Proxy(throwMine, everyTrap), Object.create(null),
    { toString: throwMine, valueOf: throwMine, [Symbol.toPrimitive]: throwMine }, { [Symbol.toPrimitive]: () => 2, length: 3 },
    { get dtype() { return throwMine(); }, get shape() { return throwMine(); } }, { dtype: 'nonsense' }, { device: 'cuda' }, { shape: [2] },
    { length: 2, 0: 1, 1: 2 }, Promise.resolve(1),
  ]; // biome-ignore format: a list
}
