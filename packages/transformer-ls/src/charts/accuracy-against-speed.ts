/** Which model is both quick and right: one dot a model, speed to the right, accuracy upwards. */
import { lineChart } from './line-chart.js';

export interface SpeedAndAccuracy {
  readonly model: string;
  readonly stepsPerSecond: number;
  /** Percent: mean over the seeds, and their standard deviation where there are several. */
  readonly accuracy: number;
  readonly spread: number | null;
}

/** An SVG document; published accuracies have no speed here and appear as lines. */
export function accuracyAgainstSpeed(
  title: string,
  models: readonly SpeedAndAccuracy[],
  published: readonly { readonly label: string; readonly accuracy: number }[],
): string {
  return lineChart({
    title,
    subtitle: 'accuracy on the test part against speed of training; bars: ± standard deviation over seeds',
    xLabel: 'training steps per second',
    yLabel: 'test accuracy (%)',
    xScale: 'log10',
    series: models.map(({ model, stepsPerSecond, accuracy, spread }) => ({
      name: model,
      look: 'labelled',
      points: [{ x: stepsPerSecond, y: accuracy }],
      spread: spread ?? 0,
    })),
    references: published.map(({ label, accuracy }) => ({ label, y: accuracy })),
  });
}
