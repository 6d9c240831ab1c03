/** The clients of benches/event-streams.mjs: `<port> <count> <run>`. They follow a run, count events and keep nothing. Says when all are connected. */
import { connect } from 'node:net';

const [port, count, run] = process.argv.slice(2);
const EVENT = Buffer.from('event: ');
const request = `GET /api/events?id=${run} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`;
let events = 0;
let open = 0;

function countEvents(bytes) {
  for (let at = bytes.indexOf(EVENT); at !== -1; at = bytes.indexOf(EVENT, at + 1)) events += 1;
}

await Promise.all(
  Array.from({ length: Number(count) }, () => {
    const socket = connect(Number(port), '127.0.0.1', () => socket.write(request));
    socket.on('error', () => undefined);
    socket.once('close', () => {
      open -= 1;
    });
    return new Promise((resolve) => {
      socket.once('data', () => {
        open += 1;
        resolve();
      });
      socket.on('data', countEvents);
    });
  }),
);
process.on('message', () => process.send({ events, open }));
process.send({ events, open });
