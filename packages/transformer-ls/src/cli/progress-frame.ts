// What the live display shows, as a pure function of what is known: exactly testable, and free of any terminal.

import { type EvaluationRecord, qualityOf, type TrainRecord } from '@transformer-ls/formats';
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatInteger,
  formatRate,
  formatScientific,
  formatValue,
} from '../text/numbers.js';

/** What a training is about to do. At least one goal; the run ends at the one that is reached first. */
export interface ProgressInfo {
  readonly title: string;
  /** What a token of the records is. Default `tokens`. */
  readonly counts?: 'tokens' | 'images';
  readonly goals: {
    readonly steps?: number;
    readonly tokens?: number;
    readonly seconds?: number;
  };
  /** Where a resumed run continues; zeros by default. */
  readonly from?: {
    readonly step: number;
    readonly tokens: number;
    readonly seconds: number;
    readonly best?: number | undefined;
  };
}

export interface ProgressState {
  readonly info: ProgressInfo;
  readonly train: TrainRecord | undefined;
  readonly evaluation: EvaluationRecord | undefined;
  /** Best bits per character or accuracy of an evaluation. */
  readonly best: number | undefined;
  /** Training bpc or accuracy, smoothed: the latest last. */
  readonly history: readonly number[];
  /** Training seconds until now, over all resumes. */
  readonly seconds: number;
}

export type Style = 'strong' | 'faint' | 'good' | 'accent' | 'warning';
/** Adds the codes of a style to a text, or returns it as it is where colours are not wanted. */
export type Paint = (style: Style, text: string) => string;

/** A label with its value, never broken over two lines. */
interface Cell {
  readonly label: string;
  readonly value: string;
  readonly style?: Style;
}

const LINE_GAP = 3;
const SPARKS = '▁▂▃▄▅▆▇█';
const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
const WIDEST = 100;

/** The lines of the display, each at most `columns` characters wide (codes of `paint` not counted). */
export function renderFrame(state: ProgressState, columns: number, paint: Paint): string[] {
  const width = Math.max(16, Math.min(columns, WIDEST));
  const title = cut(state.info.title, width);
  return [
    paint('strong', title),
    barLine(progressOf(state).fraction, width, paint),
    ...flow(positionCells(state), width, paint),
    ...flow(qualityCells(state), width, paint),
    ...sparkLines(state.history, width, paint),
    ...flow(machineCells(state), width, paint),
  ];
}

/** How far the run is (0 to 1) and the seconds that remain, by the goal that will be reached first. */
export function progressOf(state: ProgressState): { fraction: number; remaining: number } {
  const { goals, from = { step: 0, tokens: 0, seconds: 0 } } = state.info;
  const { train, seconds } = state;
  const ways = [
    { done: train?.step ?? from.step, start: from.step, goal: goals.steps },
    { done: train?.tokens ?? from.tokens, start: from.tokens, goal: goals.tokens },
    { done: seconds, start: from.seconds, goal: goals.seconds },
  ];
  let fraction = 0;
  let remaining = Number.POSITIVE_INFINITY;
  for (const { done, start, goal } of ways) {
    if (goal === undefined) continue;
    fraction = Math.max(fraction, goal > 0 ? done / goal : 1);
    // The speed since this process began: an earlier session may have run on another machine.
    const perSecond = (done - start) / (seconds - from.seconds);
    if (perSecond > 0) remaining = Math.min(remaining, Math.max(0, goal - done) / perSecond);
  }
  return { fraction: Math.min(1, Math.max(0, fraction)), remaining };
}

/** One line for a log file: everything the display shows of the latest training record. */
export function plainLine(state: ProgressState): string {
  const percent = `${Math.floor(progressOf(state).fraction * 100)}%`;
  const cells = [...positionCells(state), ...qualityCells(state), ...machineCells(state)];
  return [percent, ...cells.map(({ label, value }) => `${label} ${value}`)].join('  ');
}

/** One line for a log file on an evaluation. */
export function evaluationLine(record: EvaluationRecord): string {
  const best = record.best ? '  (best so far)' : '';
  const { name, value } = qualityOf(record);
  const top5 = record.top5 === null ? '' : `  top-5 ${formatValue(record.top5, 3)}`;
  const measured = `${name} ${formatValue(value, 3)}${top5}  loss ${formatValue(record.loss, 3)}`;
  return `step ${formatInteger(record.step)}  ${record.split}: ${measured}  in ${formatDuration(record.seconds)}${best}`;
}

function barLine(fraction: number, width: number, paint: Paint): string {
  const percent = `${Math.floor(fraction * 100)}%`.padStart(5);
  const cells = width - percent.length;
  const eighths = Math.floor(fraction * cells * 8);
  const full = '█'.repeat(eighths >> 3) + (EIGHTHS[eighths & 7] ?? '');
  return `${paint('accent', full)}${paint('faint', '░'.repeat(cells - full.length))}${paint('strong', percent)}`;
}

function positionCells(state: ProgressState): Cell[] {
  const { goals, from } = state.info;
  const { remaining } = progressOf(state);
  const step = state.train?.step ?? from?.step ?? 0;
  const tokens = state.train?.tokens ?? from?.tokens ?? 0;
  return [
    { label: 'step', value: outOf(formatInteger(step), goals.steps, formatInteger) },
    { label: state.info.counts ?? 'tokens', value: outOf(formatCount(tokens), goals.tokens, formatCount) },
    { label: 'time', value: outOf(formatDuration(state.seconds), goals.seconds, formatDuration) },
    { label: 'ETA', value: formatDuration(remaining), style: 'strong' },
  ];
}

function outOf(done: string, goal: number | undefined, format: (value: number) => string): string {
  return goal === undefined ? done : `${done}/${format(goal)}`;
}

function qualityCells({ train, evaluation, best, history }: ProgressState): Cell[] {
  const label = train === undefined ? 'bpc' : qualityOf(train).name;
  const cells: Cell[] = [{ label, value: formatValue(history.at(-1), 3), style: 'strong' }];
  if (evaluation !== undefined) {
    const { value } = qualityOf(evaluation);
    cells.push({ label: evaluation.split, value: formatValue(value, 3), style: 'strong' });
  }
  if (best !== undefined) cells.push({ label: 'best', value: formatValue(best, 3), style: 'good' });
  cells.push({ label: 'loss', value: formatValue(train?.loss, 3), ...warnUnlessFinite(train?.loss) });
  return cells;
}

function machineCells({ train, info }: ProgressState): Cell[] {
  if (train === undefined) return [];
  const unit = info.counts === 'images' ? 'img' : 'tok';
  const cells: Cell[] = [
    { label: 'speed', value: formatRate(train.tokensPerSecond, unit) },
    { label: 'lr', value: formatScientific(train.learningRate) },
  ];
  if (train.gradNorm !== null) {
    cells.push({ label: 'grad', value: formatValue(train.gradNorm, 2), ...warnUnlessFinite(train.gradNorm) });
  }
  cells.push({ label: 'mem', value: formatBytes(train.memoryBytes) });
  return cells;
}

function warnUnlessFinite(value: number | undefined): { style?: Style } {
  return value === undefined || Number.isFinite(value) ? {} : { style: 'warning' };
}

/** Lays cells in lines, beginning a new line where the next cell does not fit. */
function flow(cells: readonly Cell[], width: number, paint: Paint): string[] {
  const lines: string[] = [];
  let line = '';
  let used = 0;
  for (const cell of cells) {
    const { label, value } = fitCell(cell, width);
    const length = label.length + 1 + value.length;
    if (used > 0 && used + LINE_GAP + length > width) {
      lines.push(line);
      line = '';
      used = 0;
    }
    const painted = cell.style === undefined ? value : paint(cell.style, value);
    line += `${' '.repeat(used > 0 ? LINE_GAP : 0)}${paint('faint', label)} ${painted}`;
    used += (used > 0 ? LINE_GAP : 0) + length;
  }
  return used > 0 ? [...lines, line] : lines;
}

function fitCell({ label, value }: Cell, width: number): Cell {
  const shortLabel = cut(label, Math.max(1, width - 1 - Math.min(value.length, width - 2)));
  return { label: shortLabel, value: cut(value, width - 1 - shortLabel.length) };
}

function sparkLines(history: readonly number[], width: number, paint: Paint): string[] {
  if (history.length < 2) return [];
  const first = formatValue(history[0], 2);
  const last = formatValue(history.at(-1), 2);
  const cells = width - first.length - last.length - 2;
  const sparks = sparkline(history, Math.min(cells, history.length));
  return [`${paint('faint', first)} ${paint('accent', sparks)} ${paint('faint', last)}`];
}

/** Values as bars of eight heights, lowest to highest; more values than `cells` are averaged. */
export function sparkline(values: readonly number[], cells: number): string {
  const bars = Array.from({ length: cells }, (_, cell) => {
    const from = Math.floor((cell * values.length) / cells);
    const until = Math.max(from + 1, Math.floor(((cell + 1) * values.length) / cells));
    const slice = values.slice(from, until);
    return slice.reduce((sum, value) => sum + value, 0) / slice.length;
  });
  const lowest = Math.min(...bars);
  const span = Math.max(...bars) - lowest;
  return bars.map((bar) => SPARKS[span > 0 ? Math.round(((bar - lowest) / span) * 7) : 0]).join('');
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}
