/** Everything about one run but its curves. */
import { join } from 'node:path';
import {
  type ContextPoint,
  parseConfigText,
  type RunCheckpoint,
  type RunDetails,
  schema,
} from '@transformer-ls/formats';
import { listCheckpoints } from '../run/checkpoint.js';
import { isJsonObject, type JsonObject } from '../run/json.js';
import { MANIFEST_NAME, parseManifest } from '../run/manifest.js';
import { BEST_NAME, CHECKPOINTS_NAME } from '../run/run-folder.js';
import { reasonOf, UnreadableError } from './errors.js';
import { realBytes, realNames, realText } from './real-file.js';
import type { ShownRun } from './run-catalogue.js';

type Problems = { name: string; reason: string }[];
type Evaluation = RunDetails['evaluations'][number];

const EVALUATION_FILE = /^evaluation(-[a-z0-9-]{1,60})?\.json$/;
const MOST_EVALUATIONS = 50;
const LARGEST_EVALUATION = 4 * 1024 * 1024;
const LARGEST_MANIFEST = 1024 * 1024;
const MOST_CHECKPOINTS = 200;

/** Files that cannot be read are named in the answer, and the rest is there. */
export async function runDetails({ folder, config, summary }: ShownRun): Promise<RunDetails> {
  const unreadable: Problems = [];
  const checkpoints = [
    ...(await checkpointsIn(folder, BEST_NAME, 'best', unreadable)),
    ...(await checkpointsIn(folder, CHECKPOINTS_NAME, 'checkpoint', unreadable)),
  ];
  const evaluations = await evaluationsIn(folder, unreadable);
  return {
    ...summary,
    config: config as unknown as JsonObject,
    checkpoints,
    evaluations,
    context: newestContext(evaluations),
    unreadable,
  };
}

/** Checkpoints as their manifests describe them: their bytes are not read. */
async function checkpointsIn(
  folder: string,
  name: string,
  kind: RunCheckpoint['kind'],
  unreadable: Problems,
): Promise<RunCheckpoint[]> {
  const found = new Map<number, RunCheckpoint>();
  try {
    const names = await realNames(join(folder, name));
    if (names.length === 0) return [];
    for (const { path, step } of (await listCheckpoints(join(folder, name))).slice(0, MOST_CHECKPOINTS)) {
      if (found.has(step)) continue;
      try {
        found.set(step, { kind, step, bytes: await checkpointBytes(path) });
      } catch (error) {
        unreadable.push({ name: `${name}, step ${step}`, reason: reasonOf(error) });
      }
    }
  } catch (error) {
    unreadable.push({ name, reason: reasonOf(error) });
  }
  return [...found.values()];
}

async function checkpointBytes(path: string): Promise<number> {
  // A link in the place of the folder would be followed on the way to the manifest.
  await realNames(path);
  const manifest = await realBytes(join(path, MANIFEST_NAME), LARGEST_MANIFEST);
  if (manifest === undefined) throw new UnreadableError(`${MANIFEST_NAME}: is missing`);
  return [...parseManifest(manifest).files.values()].reduce((total, { size }) => total + size, 0);
}

const anyObject = schema.schemaOf('an object', isJsonObject);

async function evaluationsIn(folder: string, unreadable: Problems): Promise<Evaluation[]> {
  const evaluations: Evaluation[] = [];
  const names = (await realNames(folder)).filter((name) => EVALUATION_FILE.test(name));
  for (const name of names.slice(0, MOST_EVALUATIONS)) {
    try {
      const text = await realText(join(folder, name), LARGEST_EVALUATION);
      if (text !== undefined) evaluations.push({ name, record: parseConfigText(anyObject, text, name) });
    } catch (error) {
      unreadable.push({ name, reason: reasonOf(error) });
    }
  }
  return evaluations;
}

/** Dates are ISO 8601, so the newest is the last in the order of texts. */
function newestContext(evaluations: readonly Evaluation[]): ContextPoint[] | null {
  const having = evaluations.flatMap(({ record }) => {
    const points = contextOf(record);
    return points.length === 0 ? [] : [{ points, date: String(record.date) }];
  });
  return having.sort((a, b) => a.date.localeCompare(b.date)).at(-1)?.points ?? null;
}

function contextOf({ context }: Evaluation['record']): ContextPoint[] {
  if (!Array.isArray(context)) return [];
  return context.flatMap((point: unknown) => {
    if (!isJsonObject(point)) return [];
    const { contextLength, bpc } = point;
    return typeof contextLength === 'number' && typeof bpc === 'number'
      ? [{ length: contextLength, bpc }]
      : [];
  });
}
