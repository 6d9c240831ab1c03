// A client of the event stream, as a browser reads it.
import { type ClientRequest, get, type IncomingMessage } from 'node:http';
import type { NewMetrics } from '@transformer-ls/formats';
import type { Dashboard } from '../../src/dashboard/server.js';

export interface ServerSentEvent {
  readonly event: string;
  readonly id: string;
  readonly data: string;
}

/** After each there may be something to read, or never again. */
const HAPPENINGS = ['readable', 'end', 'close', 'error'];

export class EventClient {
  private text = '';
  private constructor(
    private readonly sent: ClientRequest,
    readonly response: IncomingMessage,
  ) {
    response.setEncoding('utf8');
  }

  static async open(
    { url: server }: Pick<Dashboard, 'url'>,
    query: string,
    headers: Record<string, string> = {},
  ): Promise<EventClient> {
    const url = `${server}api/events${query}`;
    return new Promise((resolve, reject) => {
      const sent = get(url, { headers, agent: false }, (response) =>
        resolve(new EventClient(sent, response)),
      );
      sent.on('error', reject);
    });
  }

  /** The next event with a name; comments and waiting times are passed over. */
  async next(): Promise<ServerSentEvent> {
    for (;;) {
      const end = this.text.indexOf('\n\n');
      if (end === -1) this.text += await this.piece();
      else {
        const block = this.text.slice(0, end);
        this.text = this.text.slice(end + 2);
        const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1] ?? '';
        if (field('event') !== '') return { event: field('event'), id: field('id'), data: field('data') };
      }
    }
  }

  async metrics(): Promise<NewMetrics & { lastId: string }> {
    for (;;) {
      const { event, id, data } = await this.next();
      if (event === 'metrics') return { ...(JSON.parse(data) as NewMetrics), lastId: id };
    }
  }

  /** Everything until the other side ends. */
  async rest(): Promise<string> {
    for (;;) {
      const piece = await this.piece().catch(() => undefined);
      if (piece === undefined) return this.text;
      this.text += piece;
    }
  }

  close(): void {
    this.sent.destroy();
  }

  private async piece(): Promise<string> {
    for (;;) {
      const piece = this.response.read() as string | null;
      if (piece !== null) return piece;
      if (this.response.readableEnded || this.response.destroyed) throw new Error('the stream has ended');
      await new Promise<void>((resolve) => {
        const happened = () => {
          for (const event of HAPPENINGS) this.response.off(event, happened);
          resolve();
        };
        for (const event of HAPPENINGS) this.response.on(event, happened);
      });
    }
  }
}
