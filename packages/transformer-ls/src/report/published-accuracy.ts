/** Accuracies that others have published for Long Range Arena, to put beside one's own. */

export interface PublishedAccuracy {
  /** As the source calls it. */
  readonly model: string;
  readonly source: keyof typeof publishedSources;
  /** Whether pictures show it too: the model itself and what the benchmark began with. */
  readonly isDrawn: boolean;
  /** Name of the set → percent of the test examples. */
  readonly accuracy: Readonly<Record<string, number>>;
}

/** Where figures come from, and what to know before comparing. */
export const publishedSources = {
  a: 'Zhu et al., Long-Short Transformer, NeurIPS 2021, table 1 (two layers of width 64; Text chose its checkpoint on the test part)',
  b: 'Tay et al., Long Range Arena, ICLR 2021, table 1 (models and training of that benchmark, larger than these)',
} as const;

const row = (
  source: PublishedAccuracy['source'],
  model: string,
  sets: readonly string[],
  values: readonly number[],
): PublishedAccuracy => ({
  source,
  model,
  isDrawn: model.startsWith('Transformer'),
  accuracy: Object.fromEntries(values.map((value, place) => [sets[place]!, value])),
});

const three = ['listops', 'imdb', 'aan'];
const five = [...three, 'cifar10', 'pathfinder32'];

/** Nobody in the second table got Path-X above chance. */
export const publishedAccuracies: readonly PublishedAccuracy[] = [
  row('a', 'Transformer-LS (w, r = 8, 32)', three, [37.5, 66.01, 81.79]),
  row('a', 'Transformer-LS (best w, r)', three, [38.36, 68.4, 81.95]),
  row('a', 'dynamic projection alone (best r)', three, [37.79, 66.28, 81.86]),
  row('a', 'full attention', three, [37.13, 65.35, 82.3]),
  row('a', 'Reformer', three, [36.44, 64.88, 78.64]),
  row('a', 'Linformer', three, [37.38, 56.12, 79.37]),
  row('a', 'Performer', three, [32.78, 65.21, 81.7]),
  row('a', 'Nyströmformer', three, [37.34, 65.75, 81.29]),
  row('b', 'Transformer', five, [36.37, 64.27, 57.46, 42.44, 71.4]),
  row('b', 'Local Attention', five, [15.82, 52.98, 53.39, 41.46, 66.63]),
  row('b', 'Linear Transformer', five, [16.13, 65.9, 53.09, 42.34, 75.3]),
  row('b', 'Reformer', five, [37.27, 56.1, 53.4, 38.07, 68.5]),
  row('b', 'Linformer', five, [35.7, 53.94, 52.27, 38.56, 76.34]),
  row('b', 'Performer', five, [18.01, 65.4, 53.82, 42.77, 77.05]),
  row('b', 'Longformer', five, [35.63, 62.85, 56.89, 42.22, 69.71]),
  row('b', 'BigBird', five, [36.05, 64.02, 59.29, 40.83, 74.87]),
];
