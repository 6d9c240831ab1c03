import { quoted } from '../describe-value.js';
import { InertObject, PickleDict, type PickleValue } from '../pickle-values.js';
import { PthError } from './pth-error.js';
import { PthNamespace, PthTensor, UnsupportedTensor } from './pth-values.js';

/** Dicts, lists and namespaces inside each other. */
export const DEEPEST_PTH_OBJECT = 100;
/** Values looked at; a container that stands in several places counts in each. */
export const MOST_PTH_VALUES = 2 ** 22;
/** Characters of all paths. */
export const MOST_PATH_CHARACTERS = 2 ** 26;

export interface TensorPaths {
  readonly tensors: Map<string, PthTensor>;
  /** What is no readable tensor where one might be looked for, with the reason as a message says it after "received". */
  readonly unreadable: Map<string, string>;
}

/**
 * Finds the tensors of an object. A path is the keys from the outside in, joined by `/`: text and numbers of dicts as they are, places in
 * lists and tuples counted from 0, names of namespaces. What objects of unknown classes hold is left out. Throws `PthError`.
 */
export function findTensors(object: PickleValue): TensorPaths {
  const finder = new TensorFinder();
  finder.visit(object, undefined);
  return finder;
}

class TensorFinder implements TensorPaths {
  readonly tensors = new Map<string, PthTensor>();
  readonly unreadable = new Map<string, string>();
  /** The containers around the present value: one that holds itself is not entered again. */
  readonly #around = new Set<PickleValue>();
  #valuesLeft = MOST_PTH_VALUES;
  #charactersLeft = MOST_PATH_CHARACTERS;

  /** @param path undefined for the object itself, whose path is empty but is not joined by `/` to what it holds */
  visit(value: PickleValue, path: string | undefined): void {
    this.#valuesLeft -= 1;
    if (this.#valuesLeft < 0) throw tooLarge(`at most ${MOST_PTH_VALUES} values`);
    if (value instanceof PthTensor) this.#add(value, path ?? '');
    else if (value instanceof UnsupportedTensor)
      this.#reject(`a ${value.kind} tensor, which is not supported`, path ?? '');
    else if (value instanceof InertObject) this.#reject(describeInert(value), path ?? '');
    else if (!this.#around.has(value)) this.#enter(value, path);
  }

  #enter(value: PickleValue, path: string | undefined): void {
    const members = membersOf(value);
    if (members === undefined) return;
    if (this.#around.size >= DEEPEST_PTH_OBJECT) throw tooLarge(`at most ${DEEPEST_PTH_OBJECT} levels`);
    this.#around.add(value);
    for (const [key, member] of members) this.visit(member, path === undefined ? key : `${path}/${key}`);
    this.#around.delete(value);
  }

  #add(tensor: PthTensor, path: string): void {
    this.#countCharacters(path);
    const other = this.tensors.get(path);
    if (other !== undefined && other !== tensor)
      throw new PthError('ambiguous-path', `expected one tensor at ${quoted(path)}, received two`);
    this.tensors.set(path, tensor);
  }

  #reject(reason: string, path: string): void {
    this.#countCharacters(path);
    this.unreadable.set(path, reason);
  }

  #countCharacters(path: string): void {
    this.#charactersLeft -= path.length;
    if (this.#charactersLeft < 0)
      throw tooLarge(`paths of at most ${MOST_PATH_CHARACTERS} characters in all`);
  }
}

function describeInert({ type, state }: InertObject): string {
  const isModel = state instanceof PickleDict && state.get('_parameters') !== undefined;
  return isModel
    ? `a whole model of class ${type}, which cannot be read: save its state_dict() instead`
    : `an object of ${type}, of which only the name is known`;
}

function membersOf(value: PickleValue): Iterable<[string, PickleValue]> | undefined {
  if (Array.isArray(value)) return listMembers(value);
  if (value instanceof PickleDict) return dictMembers(value);
  return value instanceof PthNamespace ? dictMembers(value.entries) : undefined;
}

function* listMembers(list: readonly PickleValue[]): Generator<[string, PickleValue]> {
  for (const [place, value] of list.entries()) yield [String(place), value];
}

function* dictMembers(dict: PickleDict): Generator<[string, PickleValue]> {
  let place = 0;
  for (const [key, value] of dict.entries()) {
    yield [keyText(key, place), value];
    place += 1;
  }
}

/** Keys that are neither text nor numbers, such as tuples, are named by their place. */
function keyText(key: PickleValue, place: number): string {
  if (typeof key === 'string') return key;
  if (typeof key === 'number' || typeof key === 'bigint') return String(key);
  if (typeof key === 'boolean') return key ? 'True' : 'False';
  return key === null ? 'None' : `#${place}`;
}

function tooLarge(what: string): PthError {
  return new PthError('too-large', `the object: expected ${what}`);
}
