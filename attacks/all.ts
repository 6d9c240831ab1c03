import { archiveAttacks } from './archives.js';
import type { Attack } from './attack.js';
import { pickleAttacks } from './pickles.js';
import { recordAttacks } from './records.js';
import { tableAttacks } from './tables.js';
import { weightAttacks } from './weights.js';

export const attacks: readonly Attack[] = [
  ...pickleAttacks,
  ...weightAttacks,
  ...archiveAttacks,
  ...tableAttacks,
  ...recordAttacks,
];
