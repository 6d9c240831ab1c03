/**
 * Pictures of a zip archive, read where they lie: the list of contents is read once, each picture when it is wanted. Sizes that the
 * archive declares are not trusted.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { promisify } from 'node:util';
import { inflateRaw } from 'node:zlib';
import { crc32 } from '@transformer-ls/formats';
import { type Entry, fromRandomAccessReaderPromise } from 'yauzl';
import { DataError, fileError, messageOf, oneLine } from '../data/errors.js';
import { ZipReader } from '../data/zip-reader.js';
import { MOST_ENCODED_BYTES } from './decode.js';
import { ImageError } from './image-set.js';
import {
  checkPictureCount,
  type FoundPicture,
  inNameOrder,
  isPictureName,
  type PictureFiles,
} from './picture-files.js';

/** Where a picture lies in the archive and what is to come out. */
interface ZippedPicture extends FoundPicture {
  /** Of its local header. */
  readonly offset: number;
  readonly packedSize: number;
  readonly isDeflated: boolean;
  readonly crc: number;
}

/** @throws DataError where the archive is damaged, or a name leads out of it */
export async function openZipFiles(path: string): Promise<PictureFiles> {
  const file = await open(path, 'r').catch((error) => {
    throw fileError('read', path, error);
  });
  try {
    const pictures = inNameOrder(path, await picturesOf(path, file));
    return {
      place: path,
      names: pictures.map(({ name }) => name),
      sizes: Float64Array.from(pictures, ({ size }) => size),
      bytes: (index) => unpacked(file, pictures[index]!),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    if (error instanceof DataError) throw error;
    throw new DataError(`${path}: is not a sound zip archive: ${oneLine(messageOf(error))}`, {
      cause: error,
    });
  }
}

/** yauzl refuses absolute names, `..` and backslashes. */
async function picturesOf(path: string, file: FileHandle): Promise<ZippedPicture[]> {
  const { size } = await file.stat();
  const options = { autoClose: false, lazyEntries: true, strictFileNames: true };
  const zip = await fromRandomAccessReaderPromise(new ZipReader(file), size, options);
  const found: ZippedPicture[] = [];
  for await (const entry of zip.eachEntry()) {
    if (!isPictureName(entry.fileName) || !isRegularFile(entry)) continue;
    if (entry.isEncrypted() || ![0, 8].includes(entry.compressionMethod))
      throw new DataError(
        `${path}: ${oneLine(entry.fileName)} is ${entry.isEncrypted() ? 'encrypted' : `packed by method ${entry.compressionMethod}`}, expected stored or deflated pictures`,
      );
    found.push({
      name: entry.fileName,
      size: entry.uncompressedSize,
      offset: entry.relativeOffsetOfLocalHeader,
      packedSize: entry.compressedSize,
      isDeflated: entry.compressionMethod === 8,
      crc: entry.crc32,
    });
    checkPictureCount(path, found.length);
  }
  return found;
}

/** The upper half of the external attributes is the Unix mode; 0 where the archive was not made on Unix. */
function isRegularFile(entry: Entry): boolean {
  const type = (entry.externalFileAttributes >>> 16) & 0o170000;
  return type === 0 || type === 0o100000;
}

const LOCAL_HEADER = 30;

async function unpacked(file: FileHandle, picture: ZippedPicture): Promise<Uint8Array> {
  const { name, size, offset, packedSize, isDeflated, crc } = picture;
  try {
    if (Math.max(size, packedSize) > MOST_ENCODED_BYTES)
      throw new DataError(`has ${Math.max(size, packedSize)} bytes, expected at most ${MOST_ENCODED_BYTES}`);
    const header = Buffer.from(await readAt(file, offset, LOCAL_HEADER));
    if (header.readUInt32LE(0) !== 0x04034b50) throw new DataError('is not where the archive says');
    // Of the lengths in the local header only those of its own name and extra field count.
    const start = offset + LOCAL_HEADER + header.readUInt16LE(26) + header.readUInt16LE(28);
    const packed = await readAt(file, start, packedSize);
    const bytes = isDeflated ? await inflate(packed, { maxOutputLength: Math.max(size, 1) }) : packed;
    if (bytes.length !== size) throw new DataError(`has ${bytes.length} bytes, the archive says ${size}`);
    if (crc32(bytes) !== crc) throw new DataError('is damaged: its checksum is wrong');
    return bytes;
  } catch (error) {
    throw new ImageError(`${oneLine(name)}: ${oneLine(messageOf(error))}`, { cause: error });
  }
}

const inflate = promisify<Uint8Array, { maxOutputLength: number }, Uint8Array>(inflateRaw);

async function readAt(file: FileHandle, position: number, length: number): Promise<Uint8Array> {
  const { buffer, bytesRead } = await file.read(new Uint8Array(length), 0, length, position);
  if (bytesRead < length) throw new DataError('lies beyond the end of the archive');
  return buffer;
}
