/** What a run leaves for people: curves as SVG, summary.json, results.md. */
import { cpus, totalmem } from 'node:os';
import { type MetricsRecord, qualityOf, type TrainingConfig } from '@transformer-ls/formats';
import { buildInfo, getNumThreads } from '@transformer-ls/torch';
import { type CurveAxis, type CurveQuantity, trainingCurve } from '../charts/curves.js';
import { type JsonObject, writeJson } from '../run/json.js';
import type { RunFolder } from '../run/run-folder.js';
import { formatCount, formatDuration, formatInteger } from '../text/numbers.js';
import type { DataDescription } from './parts.js';
import type { TrainingTask } from './task.js';
import type { TrainingResult } from './trainer.js';

/** More training records than this say nothing more in a picture. */
const MOST_POINTS = 4096;
const AXES: readonly CurveAxis[] = ['tokens', 'seconds'];

export class RunSummary {
  private readonly measured: MetricsRecord[] = [];
  private trained: MetricsRecord[] = [];
  private every = 1;

  constructor(
    private readonly config: TrainingConfig,
    private readonly folder: RunFolder,
    private readonly data: DataDescription,
    private readonly task: TrainingTask,
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
    for (const [quantity, axis] of this.curves()) {
      const { counts } = this.task;
      const svg = trainingCurve(records, { name: this.config.recipe, quantity, axis, counts });
      await this.folder.writeText(curveFile(quantity, axis), svg);
    }
  }

  private curves(): [CurveQuantity, CurveAxis][] {
    const quantities: readonly CurveQuantity[] = ['loss', this.task.measures];
    return quantities.flatMap((quantity) => AXES.map((axis): [CurveQuantity, CurveAxis] => [quantity, axis]));
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
      parameters: this.task.model.countParameters(),
      corpus: { name: this.data.name, sha256: this.data.sha256 },
      hardware: hardware(this.config.device),
      config: { ...this.config, model: { ...this.config.model } },
    };
  }

  private report({ end, step, tokens, seconds, best }: TrainingResult): string {
    const { config, data, task } = this;
    const machine = hardware(config.device);
    const speed = seconds > 0 ? Math.round(tokens / seconds) : 0;
    const rows = [
      [
        `best ${task.measures === 'bpc' ? 'bits per character' : 'accuracy'}, validation`,
        best === null ? '--' : `${qualityOf(best).value.toFixed(4)} (step ${best.step})`,
      ],
      ['state', end === 'complete' ? 'complete' : 'stopped, can be resumed'],
      ['parameters', formatInteger(task.model.countParameters())],
      ['steps', formatInteger(step)],
      [task.counts, `${formatInteger(tokens)} (${formatCount(tokens)})`],
      ['time, evaluations and checkpoints included', formatDuration(seconds)],
      [`${task.counts} per second over that time`, formatInteger(speed)],
      ['data', `${data.name}, SHA-256 ${data.sha256 ?? 'unknown'}`],
      ['hardware', `${machine.cpu}, ${machine.threads} threads, ${machine.device}`],
      ['libtorch', `${machine.libtorch}, ${machine.blas}`],
      ['date', new Date().toISOString().slice(0, 10)],
    ];
    const table = rows.map(([name, value]) => `| ${name} | ${value} |`).join('\n');
    const curves = this.curves().map(
      ([quantity, axis]) => `![${quantity} over ${axis}](${curveFile(quantity, axis)})`,
    );
    return `# ${config.recipe}

| | |
| - | - |
${table}

${data.caution}
The settings are in config.json; the validation part chose the checkpoint, so report the test part:
\`npx transformer-ls evaluate\` on this folder.

${curves.join('\n')}
`;
  }
}

function curveFile(quantity: CurveQuantity, axis: CurveAxis): string {
  return `curve-${quantity}-${axis}.svg`;
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
