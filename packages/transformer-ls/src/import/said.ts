/** What the user says of a file beside what it says itself, and a configuration made of both. */
import {
  ConfigError,
  closestName,
  describe,
  type Infer,
  type ObjectSchema,
  parseConfig,
} from '@transformer-ls/formats';

/** Rows and columns of pixels. */
export interface ImageSize {
  readonly height: number;
  readonly width: number;
}

export interface Said {
  /** Stages of ViL-LS in the published way of writing. */
  readonly arch?: string | undefined;
  readonly imageSize?: ImageSize | undefined;
  /** Named sizes. */
  readonly preset?: string | undefined;
  /** Dotted key of the model's configuration → value. */
  readonly settings: Readonly<Record<string, unknown>>;
}

/** What the tensors of a file say about a model; keys are dotted, as in `attention.windowSize`. */
export interface Findings {
  readonly known: Readonly<Record<string, unknown>>;
  /** Taken where nobody says otherwise: how the published programs were run. */
  readonly assumed: Readonly<Record<string, unknown>>;
  /** What has to be said, since neither holds. */
  readonly needed: readonly string[];
}

/** A configuration, and lines on what it rests on. */
export interface Inference<C> {
  readonly config: C;
  readonly notes: readonly string[];
}

type Fields = Parameters<typeof describe>[0]['fields'];

/**
 * The configuration: what is known, else what the user set, else what the preset has, else what is assumed.
 *
 * @param preset flat, of the preset that the user named; only keys of the model
 * @throws ConfigError with everything that contradicts the file, is unknown or missing
 */
export function settled<F extends Fields>(
  schema: ObjectSchema<F>,
  { known, assumed, needed }: Findings,
  { preset, settings }: Said,
  presetValues: Readonly<Record<string, unknown>> = {},
): Infer<ObjectSchema<F>> {
  const problems = [
    ...unknownKeys(schema, settings),
    ...contradictions(known, settings, '--set'),
    ...contradictions(known, presetValues, `--preset ${preset}`),
  ];
  const values = { ...assumed, ...presetValues, ...settings, ...known };
  const missing = needed.filter((key) => values[key] === undefined);
  if (missing.length > 0) problems.push(missingText(missing));
  if (problems.length > 0) throw new ConfigError(problems);
  return parseConfig(schema, nested(values), 'model') as Infer<ObjectSchema<F>>; // what this schema gives
}

function unknownKeys(schema: ObjectSchema<Fields>, settings: Said['settings']): string[] {
  const paths = describe(schema).map(({ path }) => path);
  const keys = paths.filter((path) => !paths.some((other) => other.startsWith(`${path}.`)));
  return Object.keys(settings).flatMap((key) => {
    if (keys.includes(key)) return [];
    const near = closestName(key, keys) ?? keys.find((one) => one.endsWith(`.${key}`));
    const hint = near === undefined ? `expected one of ${keys.join(', ')}` : `did you mean ${near}?`;
    return [`--set: there is no setting ${JSON.stringify(key)}, ${hint}`];
  });
}

function contradictions(
  known: Findings['known'],
  said: Readonly<Record<string, unknown>>,
  source: string,
): string[] {
  return Object.entries(said).flatMap(([key, value]) =>
    known[key] === undefined || known[key] === value
      ? []
      : [`${key}: the file has ${known[key]}, ${source} says ${value}`],
  );
}

function missingText(keys: readonly string[]): string {
  return `the file does not say ${keys.join(', ')}: give --preset <name>, or ${keys.map((key) => `--set ${key}=…`).join(' ')}`;
}

/** `{ 'a.b': 1 }` → `{ a: { b: 1 } }`. */
function nested(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(values)) {
    const parts = key.split('.');
    const last = parts.pop()!;
    let holder = result;
    for (const part of parts) {
      holder[part] ??= {};
      holder = holder[part] as Record<string, unknown>; // made above, or by an earlier key
    }
    holder[last] = value;
  }
  return result;
}

/** `{ a: { b: 1 } }` → `{ 'a.b': 1 }`; lists are values. */
export function flat(value: object, prefix = ''): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]) =>
      typeof inner === 'object' && inner !== null && !Array.isArray(inner)
        ? Object.entries(flat(inner, `${prefix}${key}.`))
        : [[`${prefix}${key}`, inner]],
    ),
  );
}
