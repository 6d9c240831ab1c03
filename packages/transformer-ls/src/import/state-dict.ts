/** The weights in a file of torch.save, wherever in its object they stand, under the names that the models have. */
import {
  describePickle,
  PickleDict,
  type PickleValue,
  type PthFile,
  PthTensor,
} from '@transformer-ls/formats';
import { WeightsError } from '../weights/weights-error.js';

/** What the names say the weights are of. */
export type WeightsKind = 'vil-ls' | 'sequence-classifier' | 'language-model';

/** The ways the published programs save, and a state dict as it is. */
export type PublishedLayout = 'vision' | 'long-range-arena' | 'fairseq' | 'state-dict';

export interface StateDict {
  readonly layout: PublishedLayout;
  readonly kind: WeightsKind;
  /** Key of the whole object that the weights stand under; null: they are the object. */
  readonly container: string | null;
  /** What every name begins with in the file, such as `module.`. */
  readonly prefix: string;
  /** By name without the prefix, without tensors of no elements. */
  readonly tensors: ReadonlyMap<string, PthTensor>;
  /** Names, without the prefix, of tensors of no elements, which are left out. */
  readonly empty: readonly string[];
}

/** Shapes by name, all that is needed to tell what a file is of. */
export type TensorShapes = ReadonlyMap<string, readonly number[]>;

export function shapesOf({ tensors }: StateDict): TensorShapes {
  return new Map([...tensors].map(([name, { shape }]) => [name, shape]));
}

/** Keys that state dicts stand under, and the layout they are the mark of. */
const CONTAINERS: readonly (readonly [key: string, layout: PublishedLayout])[] = [
  ['net', 'vision'],
  ['model_state_dict', 'long-range-arena'],
  ['model', 'fairseq'],
  ['state_dict', 'state-dict'],
];

/** What parallel training and fairseq put before every name. */
const PREFIXES = ['module.', 'decoder.model.'];

/** A name that each kind of model has, and no other. */
const MARKS: Readonly<Record<WeightsKind, string>> = {
  'vil-ls': 'layer1.0.proj.weight',
  'sequence-classifier': 'model.embeddings.word_embeddings.weight',
  'language-model': 'in_emb.weight',
};

/** @throws WeightsError in one line where the object holds no weights of a known model, or something else among them */
export function findStateDict({ object, unreadable }: Pick<PthFile, 'object' | 'unreadable'>): StateDict {
  const { container, layout, dict } = findContainer(object);
  const named = namedTensors(dict);
  const prefix = commonPrefix([...named.keys()]);
  const names = [...named].map(([name, tensor]) => [name.slice(prefix.length), tensor] as const);
  const kind = kindOf(new Set(names.map(([name]) => name)), unreadable);
  const isEmpty = ({ shape }: PthTensor) => shape.includes(0);
  return {
    layout,
    kind,
    container,
    prefix,
    tensors: new Map(names.filter(([, tensor]) => !isEmpty(tensor))),
    empty: names.filter(([, tensor]) => isEmpty(tensor)).map(([name]) => name),
  };
}

interface Container {
  readonly container: string | null;
  readonly layout: PublishedLayout;
  readonly dict: PickleDict;
}

function findContainer(object: PickleValue): Container {
  if (!(object instanceof PickleDict))
    throw new WeightsError(`expected a dict with weights, received ${describePickle(object)}`);
  for (const [container, layout] of CONTAINERS) {
    const dict = object.get(container);
    if (dict instanceof PickleDict && holdsTensor(dict)) return { container, layout, dict };
  }
  if (holdsTensor(object)) return { container: null, layout: 'state-dict', dict: object };
  const keys = CONTAINERS.map(([key]) => key).join(', ');
  throw new WeightsError(
    `expected a dict of tensors, by itself or under ${keys}; received ${describePickle(object)} with ${someKeys(object)}`,
  );
}

function holdsTensor(dict: PickleDict): boolean {
  for (const [, value] of dict.entries()) if (value instanceof PthTensor) return true;
  return false;
}

const KEYS_SHOWN = 8;

function someKeys(dict: PickleDict): string {
  const keys = [...dict.entries()].slice(0, KEYS_SHOWN).map(([key]) => describePickle(key));
  return keys.length === 0 ? 'no keys' : keys.join(', ');
}

/** @throws WeightsError that lists everything that is no tensor */
function namedTensors(dict: PickleDict): Map<string, PthTensor> {
  const tensors = new Map<string, PthTensor>();
  const problems: string[] = [];
  for (const [key, value] of dict.entries()) {
    if (typeof key === 'string' && value instanceof PthTensor) tensors.set(key, value);
    else problems.push(`${describePickle(key)} is ${describePickle(value)}`);
  }
  if (problems.length > 0)
    throw new WeightsError(`expected names with tensors, received others: ${problems.join('; ')}`);
  return tensors;
}

function commonPrefix(names: readonly string[]): string {
  let prefix = '';
  for (let next: string | undefined = ''; next !== undefined; ) {
    prefix += next;
    next = PREFIXES.find((one) => names.every((name) => name.startsWith(prefix + one)));
  }
  return prefix;
}

function kindOf(names: ReadonlySet<string>, unreadable: PthFile['unreadable']): WeightsKind {
  const found = Object.entries(MARKS).find(([, mark]) => names.has(mark));
  if (found !== undefined) return found[0] as WeightsKind; // the keys of MARKS
  const models = Object.entries(MARKS).map(([kind, mark]) => `${mark} (${kind})`);
  const [what] = unreadable.values();
  throw new WeightsError(
    `expected one of the names ${models.join(', ')}, received ${[...names].slice(0, KEYS_SHOWN).join(', ')}${
      what === undefined ? '' : `; the file also holds ${what}`
    }`,
  );
}
