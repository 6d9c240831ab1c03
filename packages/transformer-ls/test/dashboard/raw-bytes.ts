// Connections on which a test says what it likes.
import { connect, type Socket } from 'node:net';

/** A connection whose errors are no errors of the test; bytes are read when they are asked for. */
export async function connected(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  socket.setEncoding('latin1').on('error', () => undefined);
  await new Promise<void>((resolve) => socket.once('connect', resolve));
  return socket;
}

/** All that comes until the other side closes, or `until` is in it. */
export async function answerOn(socket: Socket, until = /$^/): Promise<string> {
  let answer = '';
  try {
    for await (const piece of socket) {
      answer += piece;
      if (until.test(answer)) break;
    }
  } catch {
    // Cut off: what came is the answer.
  }
  socket.destroy();
  return answer;
}

/** Sends bytes as they are; answers with all that comes until the server closes, or `until` is in it. */
export async function exchange(port: number, bytes: string | Buffer, until?: RegExp): Promise<string> {
  const socket = await connected(port);
  socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  return answerOn(socket, until);
}
