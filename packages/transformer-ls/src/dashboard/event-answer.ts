/** Server-sent events as an answer. */
import type { EventFeed } from './event-feed.js';

/** How many clients may be connected at once. */
export class Places {
  private taken = 0;

  constructor(private readonly most: number) {}

  /** Gives the function that frees the place, or undefined where none is left. */
  take(): (() => void) | undefined {
    if (this.taken >= this.most) return undefined;
    this.taken += 1;
    let isFree = false;
    return () => {
      if (!isFree) this.taken -= 1;
      isFree = true;
    };
  }

  get free(): number {
    return this.most - this.taken;
  }
}

export const EVENT_HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store',
};

/** @param free called once when the stream has ended, whoever ended it */
export function eventAnswer(feed: EventFeed, free: () => void): Response {
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const text = await feed.next();
        if (text !== undefined) return controller.enqueue(encoder.encode(text));
        free();
        controller.close();
      },
      cancel() {
        feed.end();
        free();
      },
    },
    // Nothing is asked of the feed before the client has room for it.
    { highWaterMark: 0 },
  );
  return new Response(body, { headers: EVENT_HEADERS });
}
