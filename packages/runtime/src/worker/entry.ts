/** The script of the worker. */
import { WorkerHost } from './host.js';
import type { SentRequest } from './messages.js';

interface WorkerScope {
  onmessage: ((event: { readonly data: SentRequest }) => void) | null;
  postMessage(message: unknown): void;
}

const scope = globalThis as unknown as WorkerScope;
const host = new WorkerHost((answer) => scope.postMessage(answer));
scope.onmessage = ({ data }) => void host.receive(data);
