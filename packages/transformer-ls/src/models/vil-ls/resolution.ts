/**
 * ViL-LS weights for images of another size than they were trained with. The tables of windows do not depend on it; those of full
 * attention, with an entry for each displacement on the grid, and absolute positions, with one for each row and column, are interpolated.
 *
 * Shape letters: D width, N heads.
 */
import { ConfigError, type VilLsConfig, vilLsGrids, vilLsSchema } from '@transformer-ls/formats';
import { operator, scope, type Tensor } from '@transformer-ls/torch';
import type { Grid } from '../../attention/grid-windows.js';
import { gridBiasIndex } from '../../attention/relative-bias.js';

const bicubic = operator('aten::upsample_bicubic2d');
const linear = operator('aten::upsample_linear1d');

/** A kind of table of a stage that was interpolated. */
export interface ResizedTable {
  /** Counted from 1. */
  readonly stage: number;
  readonly what: 'biases' | 'rows' | 'columns';
  readonly method: 'bicubic' | 'linear';
  /** Entries in each direction. */
  readonly from: readonly number[];
  readonly to: readonly number[];
  readonly tables: number;
}

/** `stage 3: 16 tables of biases 27 x 27 → 47 x 47, bicubic`. */
export function resizedText({ stage, what, method, from, to, tables }: ResizedTable): string {
  const of = what === 'biases' ? `${tables} table(s) of biases` : `positions of ${what}`;
  return `stage ${stage}: ${of} ${from.join(' x ')} → ${to.join(' x ')}, ${method}`;
}

/** The model for images of this size. @throws ConfigError in one line, with the nearest sizes, where it takes none such */
export function vilLsAt(config: VilLsConfig, imageHeight: number, imageWidth: number): VilLsConfig {
  const wanted = { ...config, imageHeight, imageWidth };
  const problems: string[] = [];
  const checked = vilLsSchema.check(wanted, 'model', problems);
  if (checked !== undefined && problems.length === 0) return checked;
  const near = imageHeight === imageWidth ? nearestSides(config, imageHeight) : [];
  const hint = near.length === 0 ? '' : `; the nearest that it takes: ${near.join(' and ')}`;
  throw new ConfigError([
    `this model takes no images of ${imageHeight} x ${imageWidth}: ${problems[0]?.replace(/^model\./, '')}${hint}`,
  ]);
}

/** How far a search for a size that fits goes: windows of the coarsest windowed stage are far smaller. */
const FARTHEST_SIDE = 1024;

/** The next smaller and the next larger square that the schema takes and of which no windowed stage cuts anything off. */
function nearestSides(config: VilLsConfig, side: number): number[] {
  const lastWindowed = config.stages.findLastIndex(({ attention }) => attention === 'long-short');
  const patch = config.stages
    .slice(0, lastWindowed + 1)
    .reduce((product, { patchSize }) => product * patchSize, 1);
  const takes = (one: number) =>
    one % patch === 0 &&
    vilLsSchema.check({ ...config, imageHeight: one, imageWidth: one }, '', []) !== undefined;
  const found = [-1, 1].map((step) => {
    for (let one = side + step; one > 0 && Math.abs(one - side) < FARTHEST_SIDE; one += step)
      if (takes(one)) return one;
    return undefined;
  });
  return found.filter((one) => one !== undefined);
}

/**
 * Replaces the tables of weights stored for `from` by those for `to`; new tensors belong to the map as the old ones did.
 *
 * @param tensors of the whole model, by name
 */
export function resizeVilLsTables(
  tensors: Map<string, Tensor>,
  from: VilLsConfig,
  to: VilLsConfig,
): ResizedTable[] {
  const [before, after] = [vilLsGrids(from), vilLsGrids(to)];
  const resized: ResizedTable[] = [];
  const replace = (name: string, made: Tensor) => {
    tensors.get(name)?.dispose();
    tensors.set(name, made);
  };
  for (const [i, { positions, attention, layers }] of to.stages.entries()) {
    const [old, grid] = [before[i]!, after[i]!];
    const stage = i + 1;
    if (positions === 'absolute')
      for (const what of ['rows', 'columns'] as const) {
        const name = `layer${stage}.0.${what === 'rows' ? 'x' : 'y'}_pos_embed`;
        const table = tensors.get(name);
        if (table === undefined || old[what] === grid[what]) continue;
        replace(name, resizedPositions(table, grid[what]));
        resized.push({ stage, what, method: 'linear', from: [old[what]], to: [grid[what]], tables: 1 });
      }
    else if (attention === 'full' && (old.rows !== grid.rows || old.columns !== grid.columns)) {
      for (let layer = 0; layer < layers; layer++) {
        const at = `layer${stage}.${2 * layer + 1}.attn`;
        const table = tensors.get(`${at}.local_relative_position_bias_table`);
        if (table !== undefined)
          replace(`${at}.local_relative_position_bias_table`, resizedBiases(table, old, grid));
        // Published files hold it, for the grid that they were trained on.
        if (tensors.has(`${at}.relative_position_index`))
          replace(`${at}.relative_position_index`, gridBiasIndex(grid).index);
      }
      const sides = ({ rows, columns }: Grid) => [2 * rows - 1, 2 * columns - 1];
      const what = { stage, what: 'biases', method: 'bicubic' } as const;
      resized.push({ ...what, from: sides(old), to: sides(grid), tables: layers });
    }
  }
  return resized;
}

/** ((2 rows - 1) * (2 columns - 1), N) of one grid → of another: the middle, no displacement, stays in the middle. */
function resizedBiases(table: Tensor, from: Grid, to: Grid): Tensor {
  return scope(() => {
    const map = table
      .to('float32')
      .reshape([1, 2 * from.rows - 1, 2 * from.columns - 1, -1])
      .permute([0, 3, 1, 2]);
    const resized = bicubic(map, [2 * to.rows - 1, 2 * to.columns - 1], false);
    return resized.permute([0, 2, 3, 1]).flatten(0, 2).contiguous();
  });
}

/** (1, rows, D/2) → (1, other rows, D/2), and the same for columns. */
function resizedPositions(table: Tensor, count: number): Tensor {
  return scope(() =>
    linear(table.to('float32').transpose(1, 2).contiguous(), [count], false).transpose(1, 2).contiguous(),
  );
}
