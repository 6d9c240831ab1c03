/** The runs below a folder. */
import { join } from 'node:path';
import {
  parseConfigText,
  qualityOf,
  type RunList,
  type RunState,
  type RunSummary,
  type TrainingConfig,
  trainingSchema,
} from '@transformer-ls/formats';
import { lockStateOf } from '../run/lock.js';
import { METRICS_NAME } from '../run/metrics-log.js';
import { BEST_NAME, CHECKPOINTS_NAME, CONFIG_NAME, LOCK_NAME } from '../run/run-folder.js';
import { progressOf } from '../train/schedule.js';
import { reasonOf, UnreadableError } from './errors.js';
import { type FoundFolder, type Unreadable, walkFolders } from './find-folders.js';
import { realFileFacts, realText } from './real-file.js';
import { RunDigest } from './run-digest.js';

/** A run that can be shown. */
export interface ShownRun {
  readonly id: string;
  /** Its real path, known to the server alone. */
  readonly folder: string;
  readonly config: TrainingConfig;
  readonly summary: RunSummary;
}

/** The runs as they were at one moment. */
export interface RunSnapshot {
  readonly list: RunList;
  /** The list as JSON: two snapshots are the same where their texts are. */
  readonly text: string;
  readonly runs: ReadonlyMap<string, ShownRun>;
}

/** Folders below the given one that are searched, as `lra report` does. */
const DEEPEST = 3;
const MOST_RUNS = 2000;
const MOST_PROBLEMS = 100;
const LARGEST_CONFIG = 1024 * 1024;
const LARGEST_SUMMARY = 4 * 1024 * 1024;
const LARGEST_LOCK = 16 * 1024;
/** How long a lock of another machine is believed after the last record. */
const QUIET_ELSEWHERE_MS = 15 * 60_000;

/** How often it is looked for runs. */
export interface LookingPace {
  /** Milliseconds for which an answer is good. */
  readonly freshMs: number;
  /** How many times as long as a look took there is none: training on the same machine must not notice. */
  readonly restRatio: number;
}

export class RunCatalogue {
  private readonly known = new Map<string, KnownRun>();
  private latest: RunSnapshot | undefined;
  private freshUntil = 0;
  private looking: Promise<RunSnapshot> | undefined;

  /** @param root a real path */
  constructor(
    private readonly root: string,
    private readonly pace: LookingPace,
  ) {}

  /** The runs now, or as they were a moment ago. */
  async snapshot(): Promise<RunSnapshot> {
    if (this.latest !== undefined && performance.now() < this.freshUntil) return this.latest;
    this.looking ??= this.look().finally(() => {
      this.looking = undefined;
    });
    return this.looking;
  }

  /** A run by its id, also one that has just begun. */
  async find(id: string): Promise<ShownRun | undefined> {
    return this.latest?.runs.get(id) ?? (await this.snapshot()).runs.get(id);
  }

  private async look(): Promise<RunSnapshot> {
    const started = performance.now();
    const runs: ShownRun[] = [];
    const unreadable: Unreadable[] = [];
    const folders = new Set<string>();
    const problems = await walkFolders(this.root, DEEPEST, async (found) => {
      if (!looksLikeRun(found)) return true;
      folders.add(found.path);
      if (folders.size <= MOST_RUNS) await this.add(found, runs, unreadable);
      return false;
    });
    if (folders.size > MOST_RUNS)
      problems.push({ id: '', reason: `${folders.size - MOST_RUNS} more runs are left out` });
    for (const path of this.known.keys()) if (!folders.has(path)) this.known.delete(path);
    const list = { runs: sorted(runs), unreadable: [...unreadable, ...problems].slice(0, MOST_PROBLEMS) };
    const took = performance.now() - started;
    this.latest = { list, text: JSON.stringify(list), runs: new Map(runs.map((run) => [run.id, run])) };
    this.freshUntil = performance.now() + Math.max(this.pace.freshMs, took * this.pace.restRatio);
    return this.latest;
  }

  private async add({ id, path }: FoundFolder, runs: ShownRun[], unreadable: Unreadable[]): Promise<void> {
    const known = this.known.get(path) ?? new KnownRun(path);
    this.known.set(path, known);
    try {
      runs.push(await known.shown(id));
      if (known.problem !== null) unreadable.push({ id, reason: known.problem });
    } catch (error) {
      unreadable.push({ id, reason: reasonOf(error) });
    }
  }
}

/** A run begins with its configuration; a lone one may also be that of a model folder. */
function looksLikeRun({ names }: FoundFolder): boolean {
  if (names.has(METRICS_NAME)) return true;
  return names.has(CONFIG_NAME) && [CHECKPOINTS_NAME, BEST_NAME, LOCK_NAME].some((name) => names.has(name));
}

/** Those that train first, then the newest. */
function sorted(runs: readonly ShownRun[]): RunSummary[] {
  const rank = ({ state }: RunSummary) => (state === 'training' ? 0 : 1);
  return runs
    .map(({ summary }) => summary)
    .sort((a, b) => rank(a) - rank(b) || b.updated.localeCompare(a.updated) || a.id.localeCompare(b.id));
}

/** One run, of which only what has changed is read again. */
class KnownRun {
  private readonly digest: RunDigest;
  private config:
    | { readonly stamp: string; readonly value: TrainingConfig; readonly written: Date }
    | undefined;

  constructor(private readonly folder: string) {
    this.digest = new RunDigest(join(folder, METRICS_NAME));
  }

  get problem(): string | null {
    return this.digest.problem;
  }

  /** @throws UnreadableError, ConfigError */
  async shown(id: string): Promise<ShownRun> {
    const { value: config, written } = await this.readConfig();
    await this.digest.update();
    const { step, best, modified } = this.digest;
    const summary = {
      id,
      recipe: config.recipe,
      model: config.model.kind,
      state: await this.state(config),
      step,
      maxSteps: config.maxSteps,
      best: best === null ? null : bestOf(best),
      updated: (modified ?? written).toISOString(),
    };
    return { id, folder: this.folder, config, summary };
  }

  private async readConfig() {
    const path = join(this.folder, CONFIG_NAME);
    const facts = await realFileFacts(path);
    const stamp = `${facts?.identity} ${facts?.size} ${facts?.modified.getTime()}`;
    if (this.config?.stamp !== stamp) {
      const text = await realText(path, LARGEST_CONFIG);
      if (facts === undefined || text === undefined) throw new UnreadableError(`${CONFIG_NAME}: is missing`);
      const value = parseConfigText(trainingSchema, text, CONFIG_NAME);
      this.config = { stamp, value, written: facts.modified };
    }
    return this.config;
  }

  private async state(config: TrainingConfig): Promise<RunState> {
    if (await this.isTraining()) return 'training';
    const { trained, step } = this.digest;
    const used = { steps: step, tokens: trained?.tokens ?? 0, seconds: trained?.seconds ?? 0 };
    return progressOf(used, config) >= 1 || (await this.saysComplete(step)) ? 'complete' : 'stopped';
  }

  private async isTraining(): Promise<boolean> {
    const text = await this.textOrNothing(LOCK_NAME, LARGEST_LOCK);
    if (text === undefined) return false;
    const lock = lockStateOf(text);
    const quiet = Date.now() - (this.digest.modified?.getTime() ?? 0);
    return lock === 'held' || (lock === 'elsewhere' && quiet < QUIET_ELSEWHERE_MS);
  }

  /** Evaluations and checkpoints take time that no record counts: what the run said at its end holds too. */
  private async saysComplete(step: number): Promise<boolean> {
    const text = await this.textOrNothing('summary.json', LARGEST_SUMMARY);
    if (text === undefined) return false;
    try {
      const summary = JSON.parse(text) as { end?: unknown; step?: unknown } | null;
      return summary?.end === 'complete' && summary.step === step;
    } catch {
      return false;
    }
  }

  /** Files that may be missing, and whose loss hides nothing but the state. */
  private async textOrNothing(name: string, most: number): Promise<string | undefined> {
    try {
      return await realText(join(this.folder, name), most);
    } catch {
      return undefined;
    }
  }
}

function bestOf(record: Parameters<typeof qualityOf>[0] & { step: number }): RunSummary['best'] {
  const { name, value } = qualityOf(record);
  return Number.isFinite(value) ? { name, value, step: record.step } : null;
}
