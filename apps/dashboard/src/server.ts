/** What the page asks for: of the dashboard's server, or of the files beside a static page. */
import {
  DASHBOARD_PATHS,
  type LraTable,
  type ModelList,
  type RunDetails,
  type RunList,
  type RunMetrics,
} from '@transformer-ls/formats';

/** Where a static page lists its models. */
const STATIC_MODELS = 'models/index.json';

let live: Promise<boolean> | undefined;

/** Whether a dashboard's server answers, or the page lies on some web server. */
export function serverIsLive(): Promise<boolean> {
  live ??= fetch(relative(DASHBOARD_PATHS.models), { headers: { accept: 'application/json' } }).then(
    (response) => response.ok && response.headers.get('content-type')?.includes('json') === true,
    () => false,
  );
  return live;
}

export async function listModels(): Promise<ModelList> {
  return json((await serverIsLive()) ? relative(DASHBOARD_PATHS.models) : STATIC_MODELS);
}

/** The folder of a model's files. */
export function modelPlace(id: string): URL {
  return new URL(`${relative(DASHBOARD_PATHS.modelFiles)}${encodeURIComponent(id)}/`, document.baseURI);
}

export const listRuns = (): Promise<RunList> => json(relative(DASHBOARD_PATHS.runs));
export const runDetails = (id: string): Promise<RunDetails> => json(withIds(DASHBOARD_PATHS.run, [id]));
export const runMetrics = (id: string): Promise<RunMetrics> => json(withIds(DASHBOARD_PATHS.metrics, [id]));
export const lraTable = (): Promise<LraTable> => json(relative(DASHBOARD_PATHS.lra));

/** Live events of some runs, from where their records end; the caller closes it. */
export function runEvents(runs: readonly Pick<RunMetrics, 'id' | 'offset'>[]): EventSource {
  const query = runs.map(({ id, offset }) => `id=${encodeURIComponent(id)}&from=${offset}`).join('&');
  return new EventSource(`${relative(DASHBOARD_PATHS.events)}?${query}`);
}

function withIds(path: string, ids: readonly string[]): string {
  return `${relative(path)}?${ids.map((id) => `id=${encodeURIComponent(id)}`).join('&')}`;
}

/** The page may lie in a folder of its server. */
function relative(path: string): string {
  return path.slice(1);
}

async function json<T>(url: string): Promise<T> {
  const response = await fetch(url, { headers: { accept: 'application/json' } });
  if (!response.ok) throw new Error(await reasonOf(response));
  return (await response.json()) as T;
}

async function reasonOf(response: Response): Promise<string> {
  const body = (await response.json().catch(() => ({}))) as { error?: string };
  return body.error ?? `the server answered ${response.status}`;
}
