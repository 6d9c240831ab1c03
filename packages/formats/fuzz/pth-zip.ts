import { checkPth } from './pth-files.js';

/** Any bytes as a zip file of torch.save; whatever they begin with, the zip reader has to look at them. */
export async function fuzzPthZip(data: Uint8Array): Promise<void> {
  await checkPth(data);
  const zip = Uint8Array.from(data);
  zip.set([0x50, 0x4b].slice(0, data.length));
  await checkPth(zip);
}
