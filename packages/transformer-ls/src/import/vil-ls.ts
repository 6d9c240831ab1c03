/**
 * The configuration of a ViL-LS model from its weights (spec 4.5, 4.7): nothing but tensors is in the published files, and almost
 * everything follows from their names and shapes.
 */
import {
  ConfigError,
  type VilLsConfig,
  type VilLsStage,
  vilLsGrids,
  vilLsSchema,
} from '@transformer-ls/formats';
import { windowBiasEntries } from '../attention/relative-bias.js';
import { archString, parseArchString } from '../models/vil-ls/arch-string.js';
import { type Findings, type ImageSize, type Inference, type Said, settled } from './said.js';
import type { TensorShapes } from './state-dict.js';

type Mode = VilLsConfig['mode'];

/** What the tensors of a stage say; undefined: nothing. */
interface FoundStage {
  readonly layers: number;
  readonly modelDim: number;
  readonly inChannels: number;
  readonly patchSize: number;
  readonly globalTokens: number;
  readonly positions: VilLsStage['positions'];
  readonly attention: VilLsStage['attention'];
  readonly heads: number | undefined;
  readonly windowSize: number | undefined;
  /** Rows of the projection to slots: heads times rank; 0 without one. */
  readonly slots: number;
  readonly grid: FoundGrid;
}

/** What is known of a stage's grid. */
interface FoundGrid {
  readonly rows?: number;
  readonly columns?: number;
  /** (2 rows - 1) * (2 columns - 1), of full attention. */
  readonly displacements?: number;
}

/** Larger ones are no patches, and would make a search for the image's size long. */
const LARGEST_PATCH = 4096;
const MOST_STAGES = 8;

/** @throws ConfigError with everything that does not fit together or is not said */
export function inferVilLs(shapes: TensorShapes, said: Said): Inference<VilLsConfig> {
  const mode = said.settings.mode === 'consistent' ? 'consistent' : 'reference';
  const problems: string[] = [];
  const found = stagesOf(shapes, mode, problems);
  const stages = problems.length > 0 ? [] : withArch(found, said.arch, mode, problems);
  if (problems.length > 0) throw new ConfigError(problems);
  const size = imageSizeOf(mode, stages, found, said.imageSize);
  const { findings, notes } = wholeModel(shapes, stages, found, size);
  const config = settled(vilLsSchema, findings, said);
  return {
    config,
    notes: [
      `arch ${archString(config.stages)}${said.arch === undefined ? ' (widths, depths, heads, windows and ranks by the shapes)' : ' (as said, and as the shapes say)'}`,
      `images ${config.imageHeight} x ${config.imageWidth} (${said.imageSize === undefined ? sizeNote(found) : 'as said, and as the tables of positions say'})`,
      ...notes,
    ],
  };
}

function stagesOf(shapes: TensorShapes, mode: Mode, problems: string[]): FoundStage[] {
  const numbers = [...shapes.keys()].flatMap((name) => {
    const [, number] = /^layer([1-9])\.0\.proj\.weight$/.exec(name) ?? [];
    return number === undefined ? [] : [Number(number)];
  });
  const count = numbers.length;
  if (count > MOST_STAGES || numbers.some((number) => number > count)) {
    problems.push(
      `expected stages layer1 to layer${count} and at most ${MOST_STAGES}, received ${numbers.map((number) => `layer${number}`).join(', ')}`,
    );
    return [];
  }
  const stages = Array.from({ length: count }, (_, i) =>
    new StageReader(shapes, i + 1, mode, problems).read(),
  );
  return stages.filter((stage) => stage !== undefined);
}

class StageReader {
  constructor(
    private readonly shapes: TensorShapes,
    private readonly number: number,
    private readonly mode: Mode,
    private readonly problems: string[],
  ) {}

  read(): FoundStage | undefined {
    const proj = this.shape('0.proj.weight', 4);
    const qkv = this.shape('1.attn.qkv.weight', 2);
    if (proj === undefined || qkv === undefined) return undefined;
    const [modelDim, inChannels, patchSize, patchWidth] = proj as [number, number, number, number];
    if (patchSize !== patchWidth || patchSize > LARGEST_PATCH) {
      this.problem('0.proj.weight', `a square kernel of at most ${LARGEST_PATCH}`, `[${proj.join(', ')}]`);
      return undefined;
    }
    const attention = this.has('1.attn.dual_ln_full.weight') ? 'long-short' : 'full';
    const table = this.optional('1.attn.local_relative_position_bias_table', 2);
    return {
      layers: this.layers(),
      modelDim,
      inChannels,
      patchSize,
      globalTokens: this.optional('0.cls_token', 3)?.[1] ?? 0,
      positions: this.has('0.x_pos_embed') ? 'absolute' : 'relative',
      attention,
      heads: table?.[1],
      windowSize: attention === 'full' || table === undefined ? undefined : this.windowOf(table[0]!),
      slots: this.optional('1.attn.to_dynamic_projection.weight', 2)?.[0] ?? 0,
      grid: this.grid(attention === 'full' ? table?.[0] : undefined),
    };
  }

  /** Attention blocks have odd places. */
  private layers(): number {
    const pattern = new RegExp(`^layer${this.number}\\.(\\d{1,5})\\.attn\\.qkv\\.weight$`);
    const places = [...this.shapes.keys()].map((name) => Number(pattern.exec(name)?.[1] ?? -1));
    const last = places.reduce((most, place) => Math.max(most, place), -1);
    return Math.ceil(last / 2);
  }

  private windowOf(entries: number): number | undefined {
    for (let window = 1; windowBiasEntries(window, this.mode) <= entries; window++)
      if (windowBiasEntries(window, this.mode) === entries) return window;
    this.problem(
      '1.attn.local_relative_position_bias_table',
      `as many rows as a window has in ${this.mode} mode`,
      String(entries),
    );
    return undefined;
  }

  private grid(displacements: number | undefined): FoundGrid {
    const rows = this.optional('0.x_pos_embed', 3)?.[1];
    const columns = this.optional('0.y_pos_embed', 3)?.[1];
    return {
      ...(rows === undefined ? {} : { rows }),
      ...(columns === undefined ? {} : { columns }),
      ...(displacements === undefined ? {} : { displacements }),
    };
  }

  private has(name: string): boolean {
    return this.shapes.has(`layer${this.number}.${name}`);
  }

  private optional(name: string, dimensions: number): readonly number[] | undefined {
    return this.has(name) ? this.shape(name, dimensions) : undefined;
  }

  private shape(name: string, dimensions: number): readonly number[] | undefined {
    const shape = this.shapes.get(`layer${this.number}.${name}`);
    if (shape?.length === dimensions) return shape;
    this.problem(name, `${dimensions} dimensions`, shape === undefined ? 'none' : `[${shape.join(', ')}]`);
    return undefined;
  }

  private problem(name: string, expected: string, received: string): void {
    this.problems.push(`layer${this.number}.${name}: expected ${expected}, received ${received}`);
  }
}

/** Stages with what `--arch` says where the tensors are silent; reports everything that contradicts them. */
function withArch(
  found: readonly FoundStage[],
  arch: string | undefined,
  mode: Mode,
  problems: string[],
): VilLsStage[] {
  const said = arch === undefined ? undefined : parseArchString(arch, mode);
  if (said !== undefined && said.length !== found.length)
    problems.push(`--arch: expected ${found.length} stages, as the file has, received ${said.length}`);
  // Where attention is full, window and rank mean nothing; the published strings repeat those of the stages before.
  let before = { windowSize: 7, projectionRank: 8 };
  return found.map((stage, i) => {
    const told = said?.[i];
    const heads = stage.heads ?? told?.heads;
    const isFull = stage.attention === 'full';
    const windowSize = isFull
      ? (told?.windowSize ?? before.windowSize)
      : (stage.windowSize ?? told?.windowSize);
    const silent = [
      ...(heads === undefined ? ['heads'] : []),
      ...(windowSize === undefined ? ['window size'] : []),
    ];
    if (silent.length > 0)
      problems.push(`the tensors do not say ${silent.join(' and ')} of stage ${i + 1}: give --arch`);
    const projectionRank = isFull
      ? (told?.projectionRank ?? before.projectionRank)
      : rankOf(stage.slots, heads, i, problems);
    const { layers, modelDim, patchSize, attention, globalTokens, positions } = stage;
    const whole: VilLsStage = {
      layers,
      modelDim,
      heads: heads ?? 1,
      patchSize,
      attention,
      windowSize: windowSize ?? 0,
      projectionRank,
      globalTokens,
      positions,
    };
    if (told !== undefined) compare(told, whole, i, problems);
    if (!isFull) before = whole;
    return whole;
  });
}

function rankOf(slots: number, heads: number | undefined, stage: number, problems: string[]): number {
  if (heads === undefined || slots % heads === 0) return slots / (heads ?? 1);
  problems.push(`stage ${stage + 1}: expected slots in a multiple of ${heads} heads, received ${slots}`);
  return 0;
}

function compare(told: VilLsStage, found: VilLsStage, index: number, problems: string[]): void {
  for (const [key, value] of Object.entries(found)) {
    const other = told[key as keyof VilLsStage];
    if (other !== value)
      problems.push(`stage ${index + 1}, ${key}: the file has ${value}, --arch says ${other}`);
  }
}

/** The size that was said, if the tables of positions agree, else the one that follows from them. @throws ConfigError */
function imageSizeOf(
  mode: Mode,
  stages: readonly VilLsStage[],
  found: readonly FoundStage[],
  said: ImageSize | undefined,
): ImageSize {
  const misfit = ({ height, width }: ImageSize): string | undefined => {
    const grids = vilLsGrids({ mode, imageHeight: height, imageWidth: width, stages });
    const at = found.findIndex(({ grid }, i) => !agrees(grid, grids[i]!));
    return at < 0
      ? undefined
      : `stage ${at + 1} has positions for ${gridText(found[at]!.grid)}, ${height} x ${width} pixels make ${grids[at]!.rows} x ${grids[at]!.columns}`;
  };
  if (said !== undefined) {
    const problem = misfit(said);
    if (problem === undefined) return said;
    throw new ConfigError([`--image-size: ${problem}`]);
  }
  const size = candidates(mode, stages, found).find(
    (one) => misfit(one) === undefined && isWhole(mode, stages, one),
  );
  if (size !== undefined) return size;
  const known = found.some(({ grid }) => Object.keys(grid).length > 0);
  throw new ConfigError([
    known
      ? `no image size makes the grids that the tables of positions are for: ${found.map(({ grid }, i) => `stage ${i + 1} ${gridText(grid)}`).join(', ')}`
      : 'the tensors do not depend on the size of images: give --image-size <pixels>',
  ]);
}

function agrees(
  { rows, columns, displacements }: FoundGrid,
  grid: { rows: number; columns: number },
): boolean {
  return (
    (rows ?? grid.rows) === grid.rows &&
    (columns ?? grid.columns) === grid.columns &&
    (displacements ?? (2 * grid.rows - 1) * (2 * grid.columns - 1)) ===
      (2 * grid.rows - 1) * (2 * grid.columns - 1)
  );
}

function gridText({ rows, columns, displacements }: FoundGrid): string {
  if (rows !== undefined && columns !== undefined) return `a grid of ${rows} x ${columns}`;
  return displacements === undefined ? 'any grid' : `${displacements} displacements`;
}

/** Sizes that give the grid of the coarsest stage of which it is known, the ones without a rest first. */
function candidates(mode: Mode, stages: readonly VilLsStage[], found: readonly FoundStage[]): ImageSize[] {
  const index = found.findLastIndex(({ grid }) => Object.keys(grid).length > 0);
  if (index < 0) return [];
  const { rows, columns, displacements = 0 } = found[index]!.grid;
  const side = (Math.sqrt(displacements) + 1) / 2;
  const grid = { rows: rows ?? side, columns: columns ?? side };
  if (!Number.isInteger(grid.rows) || !Number.isInteger(grid.columns)) return [];
  const patch = stages.slice(0, index + 1).reduce((product, { patchSize }) => product * patchSize, 1);
  const rests = Array.from({ length: Math.min(patch, LARGEST_PATCH) }, (_, rest) =>
    mode === 'reference' ? rest : -rest,
  );
  return rests.map((rest) => ({ height: grid.rows * patch + rest, width: grid.columns * patch + rest }));
}

/** As published, windows are whole. */
function isWhole(mode: Mode, stages: readonly VilLsStage[], { height, width }: ImageSize): boolean {
  if (mode === 'consistent') return true;
  const grids = vilLsGrids({ mode, imageHeight: height, imageWidth: width, stages });
  return stages.every(
    ({ attention, windowSize }, i) =>
      attention === 'full' || windowSize === 0 || grids[i]!.rows % windowSize === 0,
  );
}

function sizeNote(found: readonly FoundStage[]): string {
  const index = found.findLastIndex(({ grid }) => Object.keys(grid).length > 0);
  return `from the positions of stage ${index + 1}`;
}

function wholeModel(
  shapes: TensorShapes,
  stages: readonly VilLsStage[],
  found: readonly FoundStage[],
  { height, width }: ImageSize,
): { findings: Findings; notes: string[] } {
  const first = found[0]!;
  const innerDim = shapes.get('layer1.2.mlp.fc1.weight')?.[0] ?? 4 * first.modelDim;
  const classes = shapes.get('head.weight')?.[0];
  if (classes === undefined)
    throw new ConfigError(['head.weight: expected the layer that gives each class its logit, received none']);
  const meansAll = stages.at(-1)!.globalTokens === 0;
  const known = {
    kind: 'vil-ls',
    imageHeight: height,
    imageWidth: width,
    channels: first.inChannels,
    classes,
    stages,
    innerRatio: innerDim / first.modelDim,
    normalizeEmbedding: shapes.has('layer1.0.norm_embed.weight'),
    queryKeyValueBiases: shapes.has('layer1.1.attn.qkv.bias'),
    ...(meansAll ? { pooling: 'mean' } : {}),
  };
  const assumed = { mode: 'reference', ...(meansAll ? {} : { pooling: 'global-token' }) };
  const notes = meansAll
    ? []
    : [
        'pooling global-token, which the file does not say; --set pooling=mean where it was trained with AVG_POOL',
      ];
  return { findings: { known, assumed, needed: [] }, notes };
}
