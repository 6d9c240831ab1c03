import { writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { packTar } from 'modern-tar';

/** Writes a `.tar.gz` of these files, in this order. */
export async function writeTarGz(path: string, files: Readonly<Record<string, Uint8Array>>): Promise<void> {
  const entries = Object.entries(files).map(([name, body]) => ({
    header: { name, size: body.length, type: 'file' as const },
    body,
  }));
  writeFileSync(path, gzipSync(await packTar(entries)));
}
