/**
 * The format that torch.save wrote before 1.6: five pickles (magic number, version, machine, object, keys of the storages), then each
 * storage as its number of elements and its raw numbers.
 */
import type { ByteSource } from '../byte-source.js';
import { quoted } from '../describe-value.js';
import { noGlobals } from '../pickle.js';
import { describePickle, PickleDict, type PickleValue, shortText } from '../pickle-values.js';
import { PthError } from './pth-error.js';
import { sourceBytes } from './source-bytes.js';
import type { StoredBytes, StoredObject } from './stored-object.js';
import { LONGEST_KEY, type StorageClaim, TorchGlobals } from './torch-globals.js';
import { readPickleAt } from './torch-pickle.js';

const MAGIC_NUMBER = 0x1950a86a20f9469cfc6cn;
const PROTOCOL_VERSION = 1001;
/** Bytes of the number of elements before each storage. */
const COUNT_BYTES = 8;

/** Reads the pickles and the sizes of the storages only. Throws `PthError`. */
export async function readLegacyFormat(source: ByteSource): Promise<StoredObject> {
  const start = await checkStart(source);
  const {
    value: object,
    handlers: globals,
    end,
  } = await readPickleAt(source, start, 'the object', () => new ClaimedGlobals(source.size));
  const keys = await readPickleAt(source, end, 'the keys of the storages', () => noGlobals);
  const found = await findStorages(source, keys.end, keysOf(keys.value), globals.claims);
  return {
    format: 'legacy',
    hasChecksums: false,
    object,
    unknownGlobals: globals.unknownGlobals,
    storages: new Map(Array.from(globals.storages, (storage) => [storage, found.get(storage.key)!])),
  };
}

/** Checks the three pickles before the object; returns where it begins. */
async function checkStart(source: ByteSource): Promise<number> {
  const magic = await readPickleAt(source, 0, 'the start of the file', () => noGlobals).catch(notTorch);
  if (magic.value !== MAGIC_NUMBER) return notTorch(describePickle(magic.value));
  const version = await readPickleAt(source, magic.end, 'the version', () => noGlobals);
  if (version.value !== PROTOCOL_VERSION)
    throw new PthError(
      'unsupported-version',
      `expected version ${PROTOCOL_VERSION} of the format, received ${describePickle(version.value)}`,
    );
  const machine = await readPickleAt(source, version.end, 'the machine', () => noGlobals);
  const littleEndian = machine.value instanceof PickleDict ? machine.value.get('little_endian') : undefined;
  if (littleEndian !== true)
    throw new PthError(
      'big-endian',
      `expected little_endian to be true, received ${describePickle(littleEndian)}`,
    );
  return machine.end;
}

function notTorch(reason: unknown): never {
  const received = reason instanceof PthError ? reason.message : String(reason);
  throw new PthError(
    'not-pth',
    `expected the magic number of torch.save, received another pickle (${received})`,
  );
}

/** Globals that keep what the object says of its storages: their sizes stand behind it. */
class ClaimedGlobals extends TorchGlobals {
  /** The first claim of every key. */
  readonly claims = new Map<string, StorageClaim>();

  /** A storage may be seen as another type, but not as another number of bytes. */
  protected override checkClaim(claim: StorageClaim): void {
    const first = this.claims.get(claim.key) ?? claim;
    this.claims.set(claim.key, first);
    const [expected, received] = [first, claim].map(({ elements, element }) => elements * element.bytes);
    if (expected !== received)
      throw invalid(
        `storage ${quoted(claim.key)}: expected ${expected} bytes as before, received ${received}`,
      );
  }
}

function keysOf(value: PickleValue): string[] {
  if (!Array.isArray(value)) throw invalid(`expected a list of keys, received ${describePickle(value)}`);
  return value.map((key) => {
    const text = shortText(key, LONGEST_KEY);
    if (text === undefined) throw invalid(`expected the key of a storage, received ${describePickle(key)}`);
    return text;
  });
}

/** Follows the storages to the end; what comes after them belongs to something else and is let be. */
async function findStorages(
  source: ByteSource,
  start: number,
  keys: readonly string[],
  claims: ReadonlyMap<string, StorageClaim>,
): Promise<Map<string, StoredBytes>> {
  const storages = new Map<string, StoredBytes>();
  let position = start;
  for (const key of keys) {
    const claim = claims.get(key);
    if (claim === undefined || storages.has(key))
      throw invalid(`storage ${quoted(key)}: expected a key of the object, and once`);
    const count = await readCount(source, position);
    if (count !== BigInt(claim.elements))
      throw invalid(`storage ${quoted(key)}: expected ${claim.elements} elements, received ${count}`);
    const begin = position + COUNT_BYTES;
    const byteLength = claim.elements * claim.element.bytes;
    if (byteLength > source.size - begin)
      throw new PthError(
        'short-read',
        `storage ${quoted(key)}: expected ${byteLength} bytes at byte ${begin}, received ${source.size - begin}`,
      );
    storages.set(key, {
      byteLength,
      read: (from, length) => sourceBytes(source, begin + from, length),
    });
    position = begin + byteLength;
  }
  const missing = [...claims.keys()].find((key) => !storages.has(key));
  if (missing !== undefined) throw invalid(`storage ${quoted(missing)}: expected its numbers in the file`);
  return storages;
}

async function readCount(source: ByteSource, offset: number): Promise<bigint> {
  const bytes = await sourceBytes(source, offset, COUNT_BYTES);
  return new DataView(bytes.buffer, bytes.byteOffset, COUNT_BYTES).getBigInt64(0, true);
}

function invalid(message: string): PthError {
  return new PthError('invalid-storage', message);
}
