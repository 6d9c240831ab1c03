/** One measurement, in the units of the axes. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

/**
 * Thins a series to about `columns` columns of the picture, keeping of every column the first, lowest, highest and
 * last point: peaks and troughs survive, which averaging or taking every n-th point would lose. Points must be in
 * ascending x; `column` maps an x to its column.
 */
export function thin(points: readonly Point[], column: (x: number) => number): Point[] {
  const kept: Point[] = [];
  let start = 0;
  while (start < points.length) {
    const here = column(points[start]!.x);
    let end = start + 1;
    while (end < points.length && column(points[end]!.x) === here) end++;
    keepExtremes(points, start, end, kept);
    start = end;
  }
  return kept;
}

function keepExtremes(points: readonly Point[], start: number, end: number, kept: Point[]): void {
  let lowest = start;
  let highest = start;
  for (let index = start; index < end; index++) {
    if (points[index]!.y < points[lowest]!.y) lowest = index;
    if (points[index]!.y > points[highest]!.y) highest = index;
  }
  const indices = [...new Set([start, lowest, highest, end - 1])].sort((a, b) => a - b);
  for (const index of indices) kept.push(points[index]!);
}

/** Cuts a line at y values that are not finite: a gap in the picture says more than a line drawn across it. */
export function finitePieces(points: readonly Point[]): Point[][] {
  const pieces: Point[][] = [];
  let piece: Point[] = [];
  for (const point of points) {
    if (Number.isFinite(point.y)) piece.push(point);
    else if (piece.length > 0) {
      pieces.push(piece);
      piece = [];
    }
  }
  if (piece.length > 0) pieces.push(piece);
  return pieces;
}

/** The pieces of a line that lie at or below `top`, cut exactly where the line crosses it. */
export function piecesBelow(points: readonly Point[], top: number): Point[][] {
  const pieces: Point[][] = [];
  let piece: Point[] = [];
  points.forEach((point, index) => {
    const previous = points[index - 1];
    if (previous !== undefined && previous.y > top !== point.y > top) {
      piece.push(crossing(previous, point, top));
      if (point.y > top) {
        pieces.push(piece);
        piece = [];
      }
    }
    if (point.y <= top) piece.push(point);
  });
  if (piece.length > 0) pieces.push(piece);
  return pieces;
}

function crossing(from: Point, to: Point, y: number): Point {
  const part = (y - from.y) / (to.y - from.y);
  return { x: from.x + part * (to.x - from.x), y };
}
