import { checkPth } from './pth-files.js';

/** Magic number, version and byte order: what stands before the object. */
const START = Uint8Array.from(
  '\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}U\x0dlittle_endian\x88s.',
  (letter) => letter.charCodeAt(0),
);

/** Any bytes as a legacy file of torch.save, and as what follows a sound beginning of one. */
export async function fuzzPthLegacy(data: Uint8Array): Promise<void> {
  await checkPth(data);
  await checkPth(Uint8Array.from([...START, ...data]));
}
