/**
 * How many pictures a second the loader makes ready for training, with 0, 1 and 2 threads; the caller does nothing but ask.
 *
 *   [TORCH_PYTHON=<python with torch and timm>] npm run bench -- image-loader
 *     --data <folder with tiny-imagenet, cifar10, imagenet-samples> [--cases tiny-imagenet,…] [--rounds 5] [--seconds 5]
 *     [--out <results file>]
 *
 * Every variant runs in a fresh process, once a round, so that a busy moment of the machine meets all of them; the median counts.
 * "CPU ms" is processor time per picture of all threads together, which other programs disturb less than the clock. With a Python
 * that has timm, its DataLoader makes the same pictures with timm's own augmentation and mixing beside ours.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const CASES = [
  { name: 'tiny-imagenet', archive: 'tiny-imagenet-30.train.tar.gz', size: 64, augmentation: 'published' },
  { name: 'cifar10', archive: 'cifar10-jpeg.train.tar.gz', size: 32, augmentation: 'light' },
  { name: 'imagenet-samples', archive: 'imagenet-samples.tar.gz', size: 224, augmentation: 'published' },
];
const THREADS = [0, 1, 2];
const BATCH = 64;
/** Pictures that are used, so that all are kept after a short first epoch. */
const PICTURES = 2048;
const CACHES = [
  { label: 'decoded every time', cacheBytes: 0 },
  { label: 'kept decoded', cacheBytes: 2 ** 29 },
];

/** One variant, in a process of its own. */
async function measure({ path, size, augmentation: name, threads, cacheBytes, seconds }) {
  const images = '../packages/transformer-ls/dist/images';
  const { findImageSource } = await import(`${images}/part-source.js`);
  const { openImageSet } = await import(`${images}/sources.js`);
  const { augmentation } = await import(`${images}/augment/presets.js`);
  const { ImageLoader } = await import(`${images}/loader/image-loader.js`);
  const source = await findImageSource(path, 'all').catch(() => findImageSource(path, 'train'));
  const set = await openImageSet(source);
  const count = Math.min(PICTURES, set.labels.length);
  const step = Math.floor(set.labels.length / count);
  const loader = new ImageLoader({
    set,
    source,
    pictures: Uint32Array.from({ length: count }, (_, i) => i * step),
    size,
    batchSize: BATCH,
    seed: 1,
    view: { kind: 'training', augmentation: augmentation(name) },
    threads,
    cacheBytes,
  });
  const next = async () => (threads === 0 ? await loader.nextAsync() : loader.next());
  // The first epoch fills what is kept, and the compiler of JavaScript has seen everything.
  while (loader.state().epoch < 1 || loader.state().batch < 2) await next();
  const [begun, cpu] = [performance.now(), process.cpuUsage()];
  let made = 0;
  while (performance.now() - begun < 1000 * seconds) {
    await next();
    made += BATCH;
  }
  const [wall, { user, system }] = [performance.now() - begun, process.cpuUsage(cpu)];
  await loader.close();
  await set.close();
  const memory = process.memoryUsage.rss();
  console.log(JSON.stringify({ rate: (1000 * made) / wall, cpu: (user + system) / 1000 / made, memory }));
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const run = (command, args) => JSON.parse(execFileSync(command, args, { encoding: 'utf8' }));

function variantsOf({ data, seconds, cases }, python) {
  const self = fileURLToPath(import.meta.url);
  const twin = fileURLToPath(new URL('./pytorch/image-loader.py', import.meta.url));
  return CASES.filter(({ name }) => cases.includes(name)).flatMap((one) =>
    THREADS.flatMap((threads) => {
      const path = join(data, one.name, one.archive);
      const common = { ...one, threads, path, seconds, pictures: PICTURES, batch: BATCH };
      const ours = CACHES.map(({ label, cacheBytes }) => ({
        ...common,
        label,
        run: () => run(process.execPath, [self, '--side', JSON.stringify({ ...common, cacheBytes })]),
      }));
      const isTheirs = python !== undefined && one.augmentation === 'published' && threads !== 1;
      const theirs = {
        ...common,
        label: "timm's, decoded every time",
        run: () => run(python, [twin, JSON.stringify(common)]),
      };
      return isTheirs ? [...ours, theirs] : ours;
    }),
  );
}

function compare({ rounds, ...settings }, python) {
  const variants = variantsOf(settings, python).map((variant) => ({ ...variant, found: [] }));
  for (let round = 0; round < rounds; round++)
    for (const { name, augmentation, label, threads, found, run } of variants) {
      found.push(run());
      console.error(
        `round ${round + 1}: ${name} ${augmentation}, ${label}, ${threads} threads: ${found.at(-1).rate.toFixed(0)}/s, ${found.at(-1).cpu.toFixed(2)} CPU ms each`,
      );
    }
  const rows = variants.map(({ name, size, augmentation, label, threads, found }) => {
    const rates = found.map(({ rate }) => rate);
    const cells = [
      `${name}, ${size} px, ${augmentation}`,
      label,
      threads,
      median(rates).toFixed(0),
      `${Math.min(...rates).toFixed(0)} to ${Math.max(...rates).toFixed(0)}`,
      median(found.map(({ cpu }) => cpu)).toFixed(2),
      median(found.map(({ rate, cpu }) => (rate * cpu) / 1000)).toFixed(2),
      (median(found.map(({ memory }) => memory)) / 2 ** 20).toFixed(0),
    ];
    return `| ${cells.join(' | ')} |`;
  });
  const head = [
    'pictures',
    'of',
    'threads',
    'images/s, median',
    'range',
    'CPU ms per image',
    'cores busy',
    'MiB',
  ];
  return `| ${head.join(' | ')} |\n| --- | --- | ${head
    .slice(2)
    .map(() => '---:')
    .join(' | ')} |\n${rows.join('\n')}\n`;
}

const { values } = parseArgs({
  options: {
    side: { type: 'string' },
    data: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '5' },
    cases: { type: 'string', default: CASES.map(({ name }) => name).join(',') },
    out: { type: 'string' },
  },
});

function report() {
  const [rounds, seconds] = [Number(values.rounds), Number(values.seconds)];
  const cases = values.cases.split(',');
  const before = loadavg()[0];
  const table = compare({ data: values.data, rounds, seconds, cases }, process.env.TORCH_PYTHON);
  const cpu = cpus()[0].model.trim();
  const date = new Date().toISOString().slice(0, 10);
  const text = `# Pictures a second from the loader

\`npm run bench -- image-loader --rounds ${rounds} --seconds ${seconds}\`, ${date}, ${cpu}, ${cpus().length} cores, Node ${process.version}. \
Batches of ${BATCH}, ${PICTURES} pictures of each set (all 235 of imagenet-samples), after one epoch; medians of ${rounds} interleaved runs. Other programs
used the same cores (load average ${before.toFixed(1)} before, ${loadavg()[0].toFixed(1)} after): the clock tells what was left, CPU ms what a picture costs.

${table}`;
  console.log(text);
  if (values.out) writeFileSync(values.out, text);
}

if (values.side !== undefined) await measure(JSON.parse(values.side));
else if (values.data === undefined) {
  console.error(
    'image-loader: expected --data with a folder that holds tiny-imagenet, cifar10 and imagenet-samples',
  );
  process.exitCode = 1;
} else report();
