/** The stages of a vision model as a table. */
import { cvtLsGrids, type ImageClassifierConfig, vilLsGrids } from '@transformer-ls/formats';
import { formatInteger } from '../text/numbers.js';

export interface VisionStage {
  readonly rows: number;
  readonly columns: number;
  /** Global or class tokens beside those of the grid. */
  readonly globalTokens: number;
  readonly width: number;
  readonly heads: number;
  readonly blocks: number;
  readonly attention: 'long-short' | 'full';
  /** Null for full attention. */
  readonly windowSize: number | null;
  readonly projectionRank: number | null;
  readonly positions: string;
}

export function visionStages(config: ImageClassifierConfig): VisionStage[] {
  const grids = config.kind === 'vil-ls' ? vilLsGrids(config) : cvtLsGrids(config);
  return config.stages.map((stage, i) => {
    const isLast = i === config.stages.length - 1;
    const { modelDim, heads, layers, attention, windowSize, projectionRank } = stage;
    const hasClassToken = config.kind === 'cvt-ls' && config.classToken && isLast;
    const isLongShort = attention === 'long-short';
    return {
      ...grids[i]!,
      globalTokens: 'globalTokens' in stage ? stage.globalTokens : Number(hasClassToken),
      width: modelDim,
      heads,
      blocks: layers,
      attention,
      windowSize: isLongShort ? windowSize : null,
      projectionRank: isLongShort ? projectionRank : null,
      positions: 'positions' in stage ? stage.positions : 'by convolution',
    };
  });
}

/** With a first row of headings. */
export function stageRows(stages: readonly VisionStage[]): string[][] {
  const headings = [
    '',
    'grid',
    'tokens',
    'width',
    'heads',
    'blocks',
    'attention',
    'window',
    'rank',
    'positions',
  ];
  const rows = stages.map((stage, i) => {
    const { rows, columns, globalTokens, width, heads, blocks, attention, windowSize, projectionRank } =
      stage;
    const extra = globalTokens === 0 ? '' : ` + ${globalTokens}`;
    return [
      String(i + 1),
      `${rows} x ${columns}`,
      `${formatInteger(rows * columns)}${extra}`,
      String(width),
      String(heads),
      String(blocks),
      attention,
      String(windowSize ?? '-'),
      String(projectionRank ?? '-'),
      stage.positions,
    ];
  });
  return [headings, ...rows];
}
