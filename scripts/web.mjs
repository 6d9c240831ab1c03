/**
 * The page with the shipped models:
 *
 *   npm run web                          builds it and serves it with the runs in runs/ (Ctrl-C ends it)
 *   npm run web -- --runs <folder>       with other runs; --port <n>, --host <address> as `transformer-ls dashboard` takes them
 *   npm run web -- --static <folder>     writes it as files for any web server, without runs
 */
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const app = join(root, 'apps', 'dashboard');
const models = join(root, 'models');
/** Where quickstart and the README export to. */
const EXPORTED = 'exported';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: 'runs' },
    port: { type: 'string' },
    host: { type: 'string' },
    static: { type: 'string' },
  },
});

run(
  process.execPath,
  [join(root, 'node_modules', 'vite', 'bin', 'vite.js'), 'build', '--logLevel', 'warn'],
  app,
);
if (values.static === undefined) serve();
else writeStatic(values.static);

function serve() {
  const { runs, port, host } = values;
  const cli = join(root, 'packages', 'transformer-ls', 'bin', 'transformer-ls.mjs');
  const more = [
    ...(port === undefined ? [] : ['--port', port]),
    ...(host === undefined ? [] : ['--host', host]),
    ...(existsSync(EXPORTED) ? ['--models', EXPORTED] : []),
  ];
  const server = spawn(process.execPath, [cli, 'dashboard', runs, ...more], { stdio: 'inherit' });
  // In a terminal Ctrl-C reaches both; a signal to this process alone ends the server too.
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => server.kill('SIGTERM'));
  server.on('exit', (code) => {
    process.exitCode = code ?? 1;
  });
}

/** @param {string} folder */
function writeStatic(folder) {
  if (existsSync(folder) && readdirSync(folder).length > 0) {
    console.error(`web: ${folder} is not empty; choose a new folder`);
    process.exit(1);
  }
  cpSync(join(app, 'dist'), folder, { recursive: true });
  const listed = [];
  for (const id of readdirSync(models)) {
    const exported = join(models, id, 'onnx');
    if (!existsSync(join(exported, 'manifest.json'))) continue;
    const { name, kind, files, provenance } = JSON.parse(
      readFileSync(join(exported, 'manifest.json'), 'utf8'),
    );
    const bytes = files.reduce(
      (/** @type {number} */ total, /** @type {{ bytes: number }} */ file) => total + file.bytes,
      0,
    );
    cpSync(exported, join(folder, 'models', id), { recursive: true });
    listed.push({ id, name, kind, bytes, data: provenance.data });
  }
  writeFileSync(join(folder, 'models', 'index.json'), `${JSON.stringify({ models: listed }, null, 2)}\n`);
  console.log(`${folder}: the page and ${listed.length} models. Put it on any web server; with the headers
  Cross-Origin-Opener-Policy: same-origin
  Cross-Origin-Embedder-Policy: require-corp
models compute on several threads, without them on one.`);
}

/** @param {string} command @param {string[]} args @param {string} cwd */
function run(command, args, cwd) {
  const { status, signal } = spawnSync(command, args, { cwd, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? (signal === 'SIGINT' ? 130 : 1));
}
