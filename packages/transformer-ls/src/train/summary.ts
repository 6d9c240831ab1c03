/** What a run leaves for people: curves as SVG, summary.json, results.md. */
import { cpus, totalmem } from 'node:os';
import type { MetricsRecord, TrainingConfig } from '@transformer-ls/formats';
import { buildInfo, getNumThreads } from '@transformer-ls/torch';
import { type CurveAxis, type CurveQuantity, trainingCurve } from '../charts/curves.js';
import { formatCount, formatDuration, formatInteger } from '../cli/format.js';
import type { ByteCorpus } from '../data/byte-corpus.js';
import { corpusDescriptor } from '../data/corpora.js';
import { type JsonObject, writeJson } from '../run/json.js';
import type { RunFolder } from '../run/run-folder.js';
import type { TrainingResult } from './trainer.js';

/** More training records than this say nothing more in a picture. */
const MOST_POINTS = 4096;
const CURVES: readonly [CurveQuantity, CurveAxis][] = [
  ['loss', 'tokens'],
  ['loss', 'seconds'],
  ['bpc', 'tokens'],
  ['bpc', 'seconds'],
];

export class RunSummary {
  private readonly measured: MetricsRecord[] = [];
  private trained: MetricsRecord[] = [];
  private every = 1;

  constructor(
    private readonly config: TrainingConfig,
    private readonly folder: RunFolder,
    private readonly corpus: ByteCorpus,
    private readonly parameters: number,
  ) {
    for (const record of folder.log.earlier) this.add(record);
  }

  add(record: MetricsRecord): void {
    if (record.type === 'evaluation') this.measured.push(record);
    if (record.type !== 'train' || record.step % this.every !== 0) return;
    this.trained.push(record);
    if (this.trained.length < MOST_POINTS) return;
    this.every *= 2;
    this.trained = this.trained.filter(({ step }) => step % this.every === 0);
  }

  async write(result: TrainingResult): Promise<void> {
    const summary = this.summary(result);
    await this.folder.writeText('summary.json', writeJson(summary));
    await this.folder.writeText('results.md', this.report(result));
    const records = [...this.trained, ...this.measured].sort((a, b) => a.step - b.step);
    for (const [quantity, axis] of CURVES) {
      const svg = trainingCurve(records, { name: this.config.recipe, quantity, axis });
      await this.folder.writeText(`curve-${quantity}-${axis}.svg`, svg);
    }
  }

  private summary({ end, step, tokens, seconds, best }: TrainingResult): JsonObject {
    return {
      recipe: this.config.recipe,
      end,
      date: new Date().toISOString(),
      step,
      tokens,
      seconds,
      tokensPerSecond: seconds > 0 ? tokens / seconds : 0,
      best: best === null ? null : { ...best },
      parameters: this.parameters,
      corpus: { name: this.corpus.name, sha256: this.corpus.fingerprint ?? null },
      hardware: hardware(this.config.device),
      config: { ...this.config, model: { ...this.config.model } },
    };
  }

  private report({ end, step, tokens, seconds, best }: TrainingResult): string {
    const { config, corpus, parameters } = this;
    const machine = hardware(config.device);
    const speed = seconds > 0 ? Math.round(tokens / seconds) : 0;
    const rows = [
      [
        'best bits per character, validation',
        best === null ? '--' : `${best.bpc.toFixed(4)} (step ${best.step})`,
      ],
      ['state', end === 'complete' ? 'complete' : 'stopped, can be resumed'],
      ['parameters', formatInteger(parameters)],
      ['steps', formatInteger(step)],
      ['tokens', `${formatInteger(tokens)} (${formatCount(tokens)})`],
      ['time, evaluations and checkpoints included', formatDuration(seconds)],
      ['tokens per second over that time', formatInteger(speed)],
      ['corpus', `${corpus.name}, SHA-256 ${corpus.fingerprint ?? 'unknown'}`],
      ['hardware', `${machine.cpu}, ${machine.threads} threads, ${machine.device}`],
      ['libtorch', `${machine.libtorch}, ${machine.blas}`],
      ['date', new Date().toISOString().slice(0, 10)],
    ];
    const table = rows.map(([name, value]) => `| ${name} | ${value} |`).join('\n');
    const curves = CURVES.map(
      ([quantity, axis]) => `![${quantity} over ${axis}](curve-${quantity}-${axis}.svg)`,
    );
    return `# ${config.recipe}

| | |
| - | - |
${table}

${corpusDescriptor(corpus.name).notToBeReportedAs}
The settings are in config.json; the validation part chose the checkpoint, so report the test part:
\`npx transformer-ls evaluate\` on this folder.

${curves.join('\n')}
`;
  }
}

function hardware(device: string) {
  const { version, openblas } = buildInfo();
  const cpu = cpus()[0]?.model ?? 'unknown';
  return {
    cpu,
    cores: cpus().length,
    threads: getNumThreads(),
    memoryBytes: totalmem(),
    device,
    node: process.version,
    libtorch: version,
    blas: openblas ?? 'not OpenBLAS',
  };
}
