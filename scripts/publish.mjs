/**
 * Publishes the packages that `npm run pack -- <folder>` has written, each after those that it needs:
 *
 *   node scripts/publish.mjs <folder> --tag v0.1.0 [--dry-run]
 *
 * --tag: of the release; it must name the version of the packages. --dry-run: says what would be published, and publishes nothing.
 *
 * Meant for .github/workflows/publish.yml, where npm trusts the workflow itself: there is no token, and each package says which commit and
 * which run it comes of. What was published already is left as it is, so that a run that broke off can be started again.
 * Plain JavaScript without dependencies: nothing of others runs where packages can be published.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** Each after those that it needs. */
export const ORDER = ['formats', 'torch', 'runtime', 'transformer-ls'];
/** The first that publishes by the trust in a workflow. */
const LEAST_NPM = [11, 5, 1];

/** What ends the program with one line. */
export class PublishError extends Error {}

/** @typedef {{ name: string, version: string, file: string }} Packed */

/**
 * The packages to publish, in order.
 *
 * @param {string} folder @param {string} tag @param {readonly { name: string, version: string }[]} packages in the order of `ORDER`
 * @returns {Packed[]} @throws {PublishError}
 */
export function plan(folder, tag, packages) {
  const planned = packages.map(({ name, version }) => {
    if (tag !== `v${version}`)
      throw new PublishError(`the tag is ${tag}, but ${name} is at version ${version}`);
    const file = join(folder, `${name.replace('@', '').replace('/', '-')}-${version}.tgz`);
    if (!existsSync(file))
      throw new PublishError(`${file} is not there; write it with: npm run pack -- ${folder}`);
    return { name, version, file };
  });
  const files = readdirSync(folder).filter((name) => name.endsWith('.tgz'));
  if (files.length !== planned.length)
    throw new PublishError(`${folder} holds ${files.length} packages, expected ${planned.length}`);
  return planned;
}

/** @param {string} version of npm @returns {boolean} */
export function publishesByTrust(version) {
  const numbers = version.split('.').map(Number);
  const differing = LEAST_NPM.findIndex((least, i) => numbers[i] !== least);
  return differing === -1 || Number(numbers[differing]) > Number(LEAST_NPM[differing]);
}

/** @returns {{ name: string, version: string }[]} */
export function ownPackages() {
  return ORDER.map((name) => JSON.parse(readFileSync(join(root, 'packages', name, 'package.json'), 'utf8')));
}

/** @param {string[]} args @param {'inherit' | 'pipe'} output */
function npm(args, output) {
  const { status, stdout, error } = spawnSync('npm', args, {
    encoding: 'utf8',
    stdio: ['ignore', output, output],
  });
  if (error !== undefined) throw new PublishError(`npm cannot be run: ${error.message}`);
  return { status, stdout: stdout?.trim() ?? '' };
}

/** @param {Packed} packed @param {boolean} dryRun */
function publish({ name, version, file }, dryRun) {
  if (!dryRun && npm(['view', `${name}@${version}`, 'version'], 'pipe').stdout === version) {
    console.log(`${name} ${version} is published already`);
    return;
  }
  const how = dryRun ? ['--dry-run'] : ['--provenance'];
  const { status } = npm(
    ['publish', resolve(file), '--access', 'public', '--ignore-scripts', ...how],
    'inherit',
  );
  if (status !== 0) throw new PublishError(`${name} ${version} was not published: npm ended with ${status}`);
  console.log(`${name} ${version} ${dryRun ? 'would be' : 'was'} published`);
}

/** @param {string[]} args */
function main(args) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { tag: { type: 'string' }, 'dry-run': { type: 'boolean', default: false } },
  });
  const [folder, ...others] = positionals;
  if (folder === undefined || values.tag === undefined || others.length > 0)
    throw new PublishError('usage: node scripts/publish.mjs <folder> --tag v0.1.0 [--dry-run]');
  const planned = plan(folder, values.tag, ownPackages());
  const { stdout: version } = npm(['--version'], 'pipe');
  if (!values['dry-run'] && !publishesByTrust(version))
    throw new PublishError(`npm ${LEAST_NPM.join('.')} or newer is needed, this is ${version}`);
  for (const packed of planned) publish(packed, values['dry-run']);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    main(process.argv.slice(2));
  } catch (error) {
    console.error(/** @type {Error} */ (error).message.split('\n')[0]);
    process.exitCode = 1;
  }
}
