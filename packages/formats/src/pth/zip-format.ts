/** The format that torch.save writes since 1.6: a zip archive of the object's pickle and one record for each storage. */
import type { ByteSource } from '../byte-source.js';
import { quoted } from '../describe-value.js';
import { latin1 } from '../pickle-values.js';
import { PthError } from './pth-error.js';
import type { StoredObject } from './stored-object.js';
import { type StorageClaim, TorchGlobals } from './torch-globals.js';
import { LARGEST_PTH_PICKLE, readTorchPickle } from './torch-pickle.js';
import { checkStored, invalidZip, readZipDirectory, type ZipEntry } from './zip-directory.js';
import { ZipRecord } from './zip-record.js';

/** Versions of the archive that torch 2.15 reads; it writes 3. */
const NEWEST_VERSION = 10;
/** Bytes of the records that hold one word. */
const LONGEST_WORD = 64;

/** Reads the directory and the pickle only. Throws `PthError`. */
export async function readZipFormat(source: ByteSource): Promise<StoredObject> {
  const archive = await openArchive(source);
  await checkVersion(archive);
  await checkByteOrder(archive);
  const pickle = await readRecord(archive, 'data.pkl', LARGEST_PTH_PICKLE);
  const globals = new RecordGlobals(source.size, archive.records);
  const { value } = readTorchPickle(pickle, globals, 'data.pkl');
  return {
    format: 'zip',
    hasChecksums: archive.hasChecksums,
    object: value,
    unknownGlobals: globals.unknownGlobals,
    storages: new Map(Array.from(globals.storages, (storage) => [storage, globals.record(storage.key)])),
  };
}

interface Archive {
  readonly hasChecksums: boolean;
  /** By their names inside the archive's one folder. */
  readonly records: ReadonlyMap<string, ZipRecord>;
}

async function openArchive(source: ByteSource): Promise<Archive> {
  const entries = await readZipDirectory(source);
  refuseProgram(entries);
  // Saved with `torch.serialization.set_crc32_options(False)`, every checksum is 0.
  const hasChecksums = entries.some(({ crc }) => crc !== 0);
  const folder = entries[0]?.name.split('/', 1)[0] ?? '';
  const records = new Map<string, ZipRecord>();
  for (const entry of entries) {
    if (!entry.name.startsWith(`${folder}/`))
      throw invalidZip(`expected one folder ${quoted(folder)} for all, received ${quoted(entry.name)}`);
    checkStored(entry);
    records.set(entry.name.slice(folder.length + 1), new ZipRecord(source, entry, hasChecksums));
  }
  return { hasChecksums, records };
}

function refuseProgram(entries: readonly ZipEntry[]): void {
  if (entries.some(({ name }) => /^[^/]*\/(?:constants\.pkl$|code\/)/.test(name)))
    throw new PthError(
      'torchscript',
      'expected weights saved by torch.save, received a TorchScript program (torch.jit.save)',
    );
}

async function readRecord({ records }: Archive, name: string, largest: number): Promise<Uint8Array> {
  const record = records.get(name);
  if (record === undefined)
    throw new PthError(
      'missing-record',
      `expected a record ${quoted(name)} in the archive: no file of torch.save`,
    );
  if (record.byteLength > largest)
    throw new PthError(
      'too-large',
      `${name}: expected at most ${largest} bytes, received ${record.byteLength}`,
    );
  return record.read(0, record.byteLength);
}

async function checkVersion(archive: Archive): Promise<void> {
  const name = archive.records.has('.data/version') ? '.data/version' : 'version';
  const text = latin1(await readRecord(archive, name, LONGEST_WORD)).trim();
  const version = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (version < 1 || version > NEWEST_VERSION)
    throw new PthError(
      'unsupported-version',
      `${name}: expected a version from 1 to ${NEWEST_VERSION}, received ${quoted(text)}`,
    );
}

async function checkByteOrder(archive: Archive): Promise<void> {
  if (!archive.records.has('byteorder')) return;
  const order = latin1(await readRecord(archive, 'byteorder', LONGEST_WORD));
  if (order !== 'little')
    throw new PthError('big-endian', `byteorder: expected "little", received ${quoted(order)}`);
}

/** Globals that look up every storage among the records. */
class RecordGlobals extends TorchGlobals {
  constructor(
    fileBytes: number,
    private readonly records: Archive['records'],
  ) {
    super(fileBytes);
  }

  record(key: string): ZipRecord {
    const record = this.records.get(`data/${key}`);
    if (record !== undefined) return record;
    throw new PthError('missing-record', `storage ${quoted(key)}: expected its record in the archive`);
  }

  protected override checkClaim({ key, element, elements }: StorageClaim): void {
    const { byteLength } = this.record(key);
    const bytes = elements * element.bytes;
    if (bytes > byteLength)
      throw new PthError(
        'invalid-storage',
        `storage ${quoted(key)}: expected ${bytes} bytes for ${elements} elements of ${element.name}, received ${byteLength}`,
      );
  }
}
