/**
 * The published way to write the stages of ViL-LS (spec 4.4): `l1,h3,d96,n1,s1,g1,p4,f7,a0,r8_l2,…`, stages joined by `_`, fields by
 * `,`, a field a letter and a whole number.
 */
import { ConfigError, type VilLsConfig, type VilLsStage } from '@transformer-ls/formats';

/** Letters in the published order, with what each stands for and the published default. */
const FIELDS = {
  l: { meaning: 'stage number', fallback: 1 },
  h: { meaning: 'heads', fallback: 3 },
  d: { meaning: 'width', fallback: 192 },
  n: { meaning: 'blocks', fallback: 1 },
  s: { meaning: 'long-short attention, 0 for full', fallback: 1 },
  g: { meaning: 'global tokens', fallback: 1 },
  p: { meaning: 'patch size', fallback: 2 },
  f: { meaning: 'window size', fallback: 7 },
  a: { meaning: 'absolute positions, 0 for relative', fallback: 1 },
  r: { meaning: 'projection rank', fallback: 0 },
} as const;

type Letter = keyof typeof FIELDS;
const letters = Object.keys(FIELDS) as readonly Letter[];
/** Fields of which 0 means something. */
const MAY_BE_ZERO: readonly Letter[] = ['s', 'g', 'a', 'f', 'r'];
const FLAGS: readonly Letter[] = ['s', 'a'];

/**
 * The stages that a string describes.
 *
 * @param mode reference: as published, once a stage has full attention all later ones have (quirk 15). consistent: each as it says
 * @throws ConfigError with every problem, each with its stage and field
 */
export function parseArchString(text: string, mode: VilLsConfig['mode']): VilLsStage[] {
  const problems: string[] = [];
  const parts = text.split('_');
  if (parts.length < 3 || parts.length > 4)
    problems.push(`arch: expected 3 or 4 stages joined by _, received ${parts.length}`);
  const stages = parts.map((part, index) => parseStage(part, index + 1, problems));
  if (problems.length > 0) throw new ConfigError(problems);
  if (mode === 'consistent') return stages;
  const firstFull = stages.findIndex(({ attention }) => attention === 'full');
  return stages.map((stage, i) =>
    firstFull >= 0 && i > firstFull ? { ...stage, attention: 'full' } : stage,
  );
}

function parseStage(text: string, number: number, problems: string[]): VilLsStage {
  const values = new Map<Letter, number>();
  for (const item of text.split(',')) {
    const at = `arch: stage ${number}, field ${JSON.stringify(item.slice(0, 20))}`;
    const letter = letters.find((one) => one === item[0]);
    if (letter === undefined || !/^.\d{1,9}$/.test(item)) {
      problems.push(`${at}: expected one of ${letters.join(', ')} and a whole number, such as d96`);
      continue;
    }
    if (values.has(letter)) problems.push(`${at}: ${letter} is there twice`);
    const value = Number(item.slice(1));
    values.set(letter, value);
    if (letter === 'l' && value !== number)
      problems.push(`${at}: expected l${number}, the place of the stage`);
    if (FLAGS.includes(letter) && value > 1)
      problems.push(`${at}: expected ${letter}0 or ${letter}1 (${FIELDS[letter].meaning})`);
    if (value === 0 && !MAY_BE_ZERO.includes(letter))
      problems.push(`${at}: expected at least 1 (${FIELDS[letter].meaning})`);
  }
  const of = (letter: Letter) => values.get(letter) ?? FIELDS[letter].fallback;
  if (!values.has('l') && number > 1)
    problems.push(`arch: stage ${number}: expected l${number}, the place of the stage`);
  return {
    layers: of('n'),
    modelDim: of('d'),
    heads: of('h'),
    patchSize: of('p'),
    attention: of('s') === 1 ? 'long-short' : 'full',
    windowSize: of('f'),
    projectionRank: of('r'),
    globalTokens: of('g'),
    positions: of('a') === 1 ? 'absolute' : 'relative',
  };
}

/** The reverse, every field written out. */
export function archString(stages: readonly VilLsStage[]): string {
  const written = stages.map((stage, index) => {
    const values: Record<Letter, number> = {
      l: index + 1,
      h: stage.heads,
      d: stage.modelDim,
      n: stage.layers,
      s: stage.attention === 'long-short' ? 1 : 0,
      g: stage.globalTokens,
      p: stage.patchSize,
      f: stage.windowSize,
      a: stage.positions === 'absolute' ? 1 : 0,
      r: stage.projectionRank,
    };
    return letters.map((letter) => `${letter}${values[letter]}`).join(',');
  });
  return written.join('_');
}
