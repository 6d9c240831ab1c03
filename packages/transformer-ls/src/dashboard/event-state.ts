/** What there is to know of a client of live events: where it is in the files of its runs, and which list of runs it has seen. */
import type { TailedRun } from './metrics-samples.js';
import type { TailPlace } from './metrics-tail.js';

export interface EventState {
  readonly runs: readonly TailedRun[];
  readonly places: readonly (TailPlace | undefined)[];
  /** Number of the list it has seen; 0: none. */
  readonly list: number;
  /** Which run is looked at first: a busy one must not keep the others waiting. */
  readonly turn: number;
  /** Two clients with the same key get the same. */
  readonly key: string;
}

export function eventState(state: Omit<EventState, 'key'>): EventState {
  const places = state.places.map((place) => (place === undefined ? '' : placeText(place)));
  return { ...state, key: JSON.stringify([state.list, state.turn, state.runs.map(({ id }) => id), places]) };
}

/** Places of all runs: a browser sends it back, and goes on where it was. */
export function idOfPlaces(places: readonly (TailPlace | undefined)[]): string {
  return places.map((place) => placeText(place ?? { offset: 0, identity: undefined })).join(',');
}

function placeText({ offset, identity = '' }: TailPlace): string {
  return `${offset}-${identity}`;
}

/** The places in an id of `idOfPlaces`; undefined where it is not one of so many runs. */
export function placesOfId(
  id: string | undefined,
  runs: number,
): { offset: number; identity: string }[] | undefined {
  const parts = id === undefined || id === '' ? [] : id.split(',');
  if (parts.length !== runs) return undefined;
  const places = parts.map((part) => /^(\d{1,15})-(\d{0,20})$/.exec(part));
  if (places.includes(null)) return undefined;
  return places.map((match) => ({ offset: Number(match![1]), identity: match![2]! }));
}
