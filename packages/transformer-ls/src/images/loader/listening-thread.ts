/** The thread of a crew that does nothing but start the others and hear of their end. */
import { Worker, workerData } from 'node:worker_threads';
import { SharedSignal } from './shared-signal.js';
import type { CrewOrder } from './thread-crew.js';

const { entry, members, reports, signal } = workerData as CrewOrder;
const alarm = new SharedSignal(signal);

function report(message: string): void {
  reports.postMessage(message);
  alarm.raiseAlarm();
}

for (const member of members) {
  const worker = new Worker(new URL(entry), { workerData: member, transferList: [member.port] });
  worker.on('error', (error) => report(error instanceof Error ? error.message : String(error)));
  worker.on('exit', (code) => report(`it ended with code ${code}`));
}
