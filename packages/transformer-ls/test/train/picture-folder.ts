// Folders of pictures for runs of the whole program.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { Random } from '../../src/data/random.js';

const colours = { blue: [40, 60, 200], green: [40, 180, 60], red: [200, 50, 40] } as const;

/** Noisy pictures of 12 x 12 in folders blue, green and red. Returns the folder. */
export async function pictureFolder(folder: string, ofEach: number): Promise<string> {
  for (const [label, [name, colour]] of Object.entries(colours).entries()) {
    const place = join(folder, name);
    mkdirSync(place, { recursive: true });
    for (let index = 0; index < ofEach; index++) {
      const random = new Random(label, index);
      const raw = Uint8Array.from({ length: 12 * 12 * 3 }, (_, i) => colour[i % 3]! + random.below(80) - 40);
      const picture = sharp(raw, { raw: { width: 12, height: 12, channels: 3 } });
      await picture.png().toFile(join(place, `${String(index).padStart(3, '0')}.png`));
    }
  }
  return folder;
}
