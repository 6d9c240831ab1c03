/**
 * What clients of live events get next. It is read and written out once for all that are at the same place, and all of them are sent the same
 * bytes: a thousand clients cost a thousand writes, and no more reading than one.
 */
import { type EventState, eventState, idOfPlaces } from './event-state.js';
import type { MetricsSamples, TailedRun } from './metrics-samples.js';
import { LARGEST_MESSAGE, newsAfter, type RunNews, type TailPlace } from './metrics-tail.js';
import type { RunCatalogue } from './run-catalogue.js';

/** Of so many places what comes next is remembered for others; most clients are at the same one. */
const MOST_SHARED = 256;

export interface EventStep {
  /** Undefined: nothing is new. */
  readonly bytes: Buffer | undefined;
  /** What the client knows then. */
  readonly state: EventState;
  readonly hasMore: boolean;
}

/** Lists get numbers: what a client has seen is told without keeping it. */
export class NumberedLists {
  private text = '';
  private number = 0;

  constructor(private readonly catalogue: RunCatalogue) {}

  async newest(): Promise<{ text: string; number: number }> {
    const { text } = await this.catalogue.snapshot();
    if (text !== this.text) this.number += 1;
    this.text = text;
    return { text, number: this.number };
  }
}

/** Looks at every file once; replaced by another before the next look. */
export class EventNews {
  private readonly steps = new Map<string, Promise<EventStep>>();
  private readonly runs = new Map<string, Promise<RunNews>>();

  constructor(
    private readonly lists: NumberedLists,
    private readonly samples: MetricsSamples,
  ) {}

  after(state: EventState): Promise<EventStep> {
    return shared(this.steps, state.key, () => this.make(state));
  }

  private async make(state: EventState): Promise<EventStep> {
    const { runs } = state;
    const places = [...state.places];
    const messages: string[] = [];
    let length = 0;
    let hasMore = false;
    let { turn } = state;
    const say = (event: string, data: string) => {
      const message = `event: ${event}\nid: ${idOfPlaces(places)}\ndata: ${data}\n\n`;
      messages.push(message);
      length += message.length;
    };
    for (let looked = 0; looked < runs.length && length < LARGEST_MESSAGE; looked++) {
      const news = await this.newsOf(runs[turn]!, places[turn]);
      places[turn] = news.place;
      hasMore ||= news.hasMore;
      turn = (turn + 1) % runs.length;
      if (news.metrics !== undefined) say('metrics', news.metrics);
    }
    const isCut = length >= LARGEST_MESSAGE;
    const list = isCut ? undefined : await this.lists.newest();
    if (list !== undefined && list.number !== state.list) say('runs', list.text);
    return {
      bytes: messages.length === 0 ? undefined : Buffer.from(messages.join('')),
      state: eventState({ runs, places, list: list?.number ?? state.list, turn }),
      hasMore: hasMore || isCut,
    };
  }

  private newsOf(run: TailedRun, place: TailPlace | undefined): Promise<RunNews> {
    const key = JSON.stringify([run.id, place?.offset, place?.identity]);
    return shared(this.runs, key, () => newsAfter(run, place, this.samples));
  }
}

function shared<T>(known: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  const present = known.get(key);
  if (present !== undefined) return present;
  const made = make();
  if (known.size < MOST_SHARED) known.set(key, made);
  return made;
}
