/**
 * The clients of benches/event-streams.mjs: `<port> <count> <run>`. They follow a run, count events and keep nothing; one whose stream ends comes
 * back, as a browser does. Says when all are connected.
 */
import { connect } from 'node:net';

const [port, count, run] = process.argv.slice(2);
const EVENT = Buffer.from('event: ');
const ID = Buffer.from('\nid: ');
/** As the server asks for. */
const RETRY_MS = 2000;
let events = 0;
let open = 0;
let refused = 0;

class Client {
  lastId = '';

  /** @returns {Promise<void>} when the answer has begun */
  follow() {
    const again = this.lastId === '' ? '' : `Last-Event-ID: ${this.lastId}\r\n`;
    const socket = connect(Number(port), '127.0.0.1', () =>
      socket.write(`GET /api/events?id=${run} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${again}\r\n`),
    );
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => this.take(bytes));
    return new Promise((resolve) => {
      socket.once('data', (bytes) => {
        if (!bytes.includes(' 200 ')) refused += 1;
        open += 1;
        socket.once('close', () => {
          open -= 1;
          setTimeout(() => void this.follow(), RETRY_MS);
        });
        resolve();
      });
    });
  }

  take(bytes) {
    for (let at = bytes.indexOf(EVENT); at !== -1; at = bytes.indexOf(EVENT, at + 1)) events += 1;
    const at = bytes.lastIndexOf(ID);
    const end = bytes.indexOf('\n', at + 1);
    if (at !== -1 && end !== -1) this.lastId = bytes.toString('latin1', at + ID.length, end);
  }
}

await Promise.all(Array.from({ length: Number(count) }, () => new Client().follow()));
process.on('message', () => process.send({ events, open, refused }));
process.send({ events, open, refused });
