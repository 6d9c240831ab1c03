/** `transformer-ls dashboard`: runs as they train, and exported models, in a browser. */
import { constants, setPriority } from 'node:os';
import { Command, InvalidArgumentError } from 'commander';
import { isToken } from '../dashboard/access.js';
import { startDashboard } from '../dashboard/server.js';
import { shippedModelsFolder } from '../weights/shipped-models.js';
import { exitCodes } from './errors.js';
import { repeated, wholeNumber } from './flags.js';
import { interruptible } from './interrupt.js';
import { makeOutputFolder } from './output-folder.js';

interface DashboardFlags {
  readonly models: readonly string[];
  readonly port: number;
  readonly host: string;
  readonly token?: string;
  readonly json?: boolean;
}

const USUAL_FOLDER = 'runs';
const USUAL_PORT = 4321;
const HIGHEST_PORT = 65_535;

const HELP = `
It only reads: runs that train do not notice it. The models that come with transformer-ls are shown beside yours. It listens on this machine alone; at another address it asks for a token, which the
printed address holds.

Examples:
  transformer-ls dashboard
  transformer-ls dashboard runs/first --port 0
  transformer-ls dashboard runs --models exported
  transformer-ls dashboard runs --host 0.0.0.0`;

export function dashboardCommand(): Command {
  return new Command('dashboard')
    .description('Serve a page that shows runs while they train, and runs exported models in the browser.')
    .argument('[folder]', 'folder of runs, or one run', USUAL_FOLDER)
    .option('--models <folder>', 'an exported model, or a folder of them; may be repeated', repeated, [])
    .option('--port <n>', '0: any that is free', wholeNumber({ min: 0, max: HIGHEST_PORT }), USUAL_PORT)
    .option('--host <address>', 'where to listen; 0.0.0.0 is every address of this machine', '127.0.0.1')
    .option(
      '--token <text>',
      'what to ask for (default: a new one, at other addresses than 127.0.0.1)',
      tokenFlag,
    )
    .option('--json', 'print the address as one JSON object')
    .addHelpText('after', HELP)
    .action(runDashboard);
}

function tokenFlag(text: string): string {
  if (!isToken(text))
    throw new InvalidArgumentError('Expected 8 to 200 letters, digits, dots, dashes, underscores or tildes.');
  return text;
}

async function runDashboard(folder: string, flags: DashboardFlags): Promise<void> {
  const interrupt = interruptible();
  giveWayToTraining();
  try {
    const { models, port, host, token } = flags;
    const shipped = shippedModelsFolder();
    const onProblem = (line: string) => console.error(`transformer-ls dashboard: ${line}`);
    // Runs that begin later are shown too: the usual folder may still be missing.
    if (folder === USUAL_FOLDER) await makeOutputFolder(folder);
    const dashboard = await startDashboard({
      folder,
      models: [...models, ...(shipped === undefined ? [] : [shipped])],
      port,
      host,
      token,
      onProblem,
    });
    if (!dashboard.hasPage) onProblem('the page is not built; npm run web builds it');
    const { url } = dashboard;
    console.log(flags.json ? JSON.stringify({ url, port: dashboard.port }) : `${url} (Ctrl-C ends it)`);
    await aborted(interrupt.signal);
    await dashboard.close();
    process.exitCode = exitCodes.interrupted;
  } finally {
    interrupt.end();
  }
}

/** Where there is too little of the processor for both, a run that trains comes first. Systems that do not allow it share it evenly. */
function giveWayToTraining(): void {
  try {
    setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // Nothing depends on it.
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
