// Which queries and keys belong together: how work is cut into tiles, where the rows of a tile lie, and who sees whom.
#pragma once

#include "primitives.cuh"
#include "problem.h"

namespace tls::gpu {

// A query, and the keys of one kind that it sees. Of the key at (row, column) the place is
// (row - first_row) * key_columns + column + origin.
struct QueryPlace {
  int token;  // -1: none, and sees nothing
  int first_row, first_column, columns, origin;
};

struct KeyPlace {
  int token;  // -1: none, and is not seen
  int row, column;
};

// Segments [row, row + rows) x [column, column + columns); their queries are counted segment by segment.
struct Segments {
  int row, column, rows, columns;
};

// Keys of one kind, counted row by row. Shared keys lie in one row.
struct Area {
  int row, column, rows, columns;
  __host__ __device__ int count() const { return rows * columns; }
};

__host__ __device__ inline int least(int a, int b) { return a < b ? a : b; }
__host__ __device__ inline int most(int a, int b) { return a > b ? a : b; }
__host__ __device__ inline int quotient_up(int a, int b) { return (a + b - 1) / b; }
__host__ __device__ inline int quotient_down(int a, int b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

__host__ __device__ inline int64_t all_queries(const Problem& p) { return int64_t{p.rows} * p.columns; }
__host__ __device__ inline int segment_size(const Problem& p) { return p.window_rows * p.window_columns; }
__host__ __device__ inline int query_count(const Problem& p, const Segments& s) { return s.rows * s.columns * segment_size(p); }

// Chunks before that of the query, as keys: a query sees [first_slot(end), end).
__host__ __device__ inline int end_slot(const Problem& p, int query) {
  return static_cast<int>((p.remembered + (p.offset + query) / p.chunk_size) * p.rank);
}
__host__ __device__ inline int first_slot(const Problem& p, int end) {
  return end > p.reach ? end - static_cast<int>(p.reach) : 0;
}

// ---- runs of segments whose queries are done together ------------------------------------------------------------------------

struct QueryTiling {
  int run, runs_of_row, tiles_of_run;

  __host__ __device__ QueryTiling(const Problem& p, int tile_rows) {
    run = most(1, tile_rows / segment_size(p));
    runs_of_row = quotient_up(p.segment_columns, run);
    tiles_of_run = quotient_up(least(run, p.segment_columns) * segment_size(p), tile_rows);
  }
  __host__ __device__ int tiles(const Problem& p) const { return p.segment_rows * runs_of_row * tiles_of_run; }
  __host__ __device__ Segments segments(const Problem& p, int tile) const {
    const int at = tile / tiles_of_run, column = at % runs_of_row * run;
    return {at / runs_of_row, column, 1, least(run, p.segment_columns - column)};
  }
  __host__ __device__ int first_query(int tile, int tile_rows) const { return tile % tiles_of_run * tile_rows; }
};

// Keys that the queries of these segments see.
__device__ inline Area window_area(const Problem& p, const Segments& s) {
  const int row = s.row * p.window_rows + p.first_row, column = s.column * p.window_columns + p.first_column;
  const int end_row = least(p.grid_rows, row + (s.rows - 1) * p.window_rows + p.key_rows);
  const int end_column = least(p.grid_columns, column + (s.columns - 1) * p.window_columns + p.key_columns);
  Area area{most(0, row), most(0, column), 0, 0};
  area.rows = most(0, end_row - area.row);
  area.columns = most(0, end_column - area.column);
  return area;
}

__device__ inline Area shared_area(const Problem& p, const Segments& s) {
  if (p.chunk_size == 0) return {0, 0, 1, p.shared};
  const int first = first_slot(p, end_slot(p, s.column));
  return {0, first, 1, end_slot(p, s.column + s.columns - 1) - first};
}

__device__ inline Area seen_area(const Problem& p, int kind, const Segments& s) {
  if (kind == kWindow) return p.key_rows == 0 ? Area{0, 0, 0, 0} : window_area(p, s);
  return p.shared == 0 ? Area{0, 0, 0, 0} : shared_area(p, s);
}

// ---- runs of keys whose gradients are summed together ------------------------------------------------------------------------

// Of a grid as its segments, of a sequence without regard to them.
struct KeyTiling {
  int cell_rows, cell_columns, cells_of_row, tiles_of_cell, cells;

  __host__ __device__ KeyTiling(const Problem& p, int kind, int tile_rows) {
    const bool sequence = kind == kShared || (p.grid_rows == 1 && p.key_rows == 1);
    const int columns = kind == kShared ? p.shared : p.grid_columns, rows = kind == kShared ? 1 : p.grid_rows;
    cell_rows = sequence ? 1 : p.window_rows;
    cell_columns = sequence ? tile_rows : most(1, tile_rows / segment_size(p)) * p.window_columns;
    cells_of_row = quotient_up(columns, cell_columns);
    tiles_of_cell = quotient_up(cell_rows * cell_columns, tile_rows);
    cells = quotient_up(rows, cell_rows) * cells_of_row;
    if (kind == kWindow ? p.key_rows == 0 : p.shared == 0) cells = 0;
  }
  __host__ __device__ int tiles() const { return cells * tiles_of_cell; }
  __device__ Area area(const Problem& p, int kind, int tile) const {
    const int cell = tile / tiles_of_cell;
    const int columns = kind == kShared ? p.shared : p.grid_columns, rows = kind == kShared ? 1 : p.grid_rows;
    const int row = cell / cells_of_row * cell_rows, column = cell % cells_of_row * cell_columns;
    return {row, column, least(cell_rows, rows - row), least(cell_columns, columns - column)};
  }
  __device__ int first_key(int tile, int tile_rows) const { return tile % tiles_of_cell * tile_rows; }
};

// Segments some query of which may see a key of the area.
__device__ inline Segments seeing(const Problem& p, int kind, const Area& area) {
  if (kind == kShared) {
    if (p.chunk_size == 0) return {0, 0, p.segment_rows, p.segment_columns};
    const int64_t first_chunk = area.column / p.rank + 1 - p.remembered;
    const int64_t end_chunk = (area.column + area.columns + p.reach + p.rank - 1) / p.rank - p.remembered;
    const int64_t first = first_chunk * p.chunk_size - p.offset, end = end_chunk * p.chunk_size - p.offset;
    const int from = first > 0 ? static_cast<int>(first < p.columns ? first : p.columns) : 0;
    const int to = end < p.columns ? static_cast<int>(end > from ? end : from) : p.columns;
    return {0, from, 1, to - from};
  }
  const int first_row = most(0, quotient_down(area.row - p.first_row - p.key_rows, p.window_rows) + 1);
  const int end_row = least(p.segment_rows, quotient_down(area.row + area.rows - 1 - p.first_row, p.window_rows) + 1);
  const int first_column = most(0, quotient_down(area.column - p.first_column - p.key_columns, p.window_columns) + 1);
  const int end_column =
      least(p.segment_columns, quotient_down(area.column + area.columns - 1 - p.first_column, p.window_columns) + 1);
  return {first_row, first_column, most(0, end_row - first_row), most(0, end_column - first_column)};
}

// ---- rows of tiles -----------------------------------------------------------------------------------------------------------

__device__ inline bool is_visible(const Problem& p, int b, int token) {
  return p.visible == nullptr || p.visible[b * all_queries(p) + token];
}

// Query `index` of the segments, as one that sees keys of that kind. Behind the last one: none, in the last one's place, so that
// places keep their order.
__device__ inline QueryPlace query_at(const Problem& p, int b, int kind, const Segments& s, int index) {
  const int size = segment_size(p), all = query_count(p, s);
  const int i = least(index, all - 1), segment = i / size, within = i % size;
  const int segment_row = s.row + segment / s.columns, segment_column = s.column + segment % s.columns;
  const int row = segment_row * p.window_rows + within / p.window_columns;
  const int column = segment_column * p.window_columns + within % p.window_columns;
  const int token = row * p.columns + column;
  const bool present = index < all && row < p.rows && column < p.columns && is_visible(p, b, token);
  QueryPlace place;
  place.token = present ? token : -1;
  if (kind == kWindow) {
    place.first_row = segment_row * p.window_rows + p.first_row;
    place.first_column = segment_column * p.window_columns + p.first_column;
    place.columns = p.key_columns;
    place.origin = -place.first_column;
  } else {
    const int end = p.chunk_size == 0 ? p.shared : end_slot(p, column);
    place.first_row = 0;
    place.first_column = p.chunk_size == 0 ? 0 : first_slot(p, end);
    place.columns = end - place.first_column;
    place.origin = p.places[kShared] - end;
  }
  if (!present) place.columns = 0;
  return place;
}

__device__ inline KeyPlace key_at(const Problem& p, int b, int kind, const Area& area, int index) {
  constexpr int kNowhere = -(1 << 30);
  if (index >= area.count()) return {-1, kNowhere, 0};
  const int row = area.row + index / area.columns, column = area.column + index % area.columns;
  if (kind == kShared) return {column, 0, column};
  if (row < 0 || row >= p.grid_rows || column < 0 || column >= p.grid_columns) return {-1, kNowhere, 0};
  const int token = row * p.grid_columns + column;
  return is_visible(p, b, token) ? KeyPlace{token, row, column} : KeyPlace{-1, kNowhere, 0};
}

__device__ inline bool sees(const Problem& p, int kind, const QueryPlace& query, const KeyPlace& key) {
  const int rows = kind == kWindow ? p.key_rows : 1;
  return static_cast<unsigned>(key.row - query.first_row) < static_cast<unsigned>(rows) &&
         static_cast<unsigned>(key.column - query.first_column) < static_cast<unsigned>(query.columns);
}

__device__ inline int place_of(const Problem& p, const QueryPlace& query, const KeyPlace& key) {
  return (key.row - query.first_row) * p.key_columns + key.column + query.origin;
}

// Of a query of a segment: the row of a bias.
__device__ inline int within_segment(const Problem& p, int token) {
  return token / p.columns % p.window_rows * p.window_columns + token % p.columns % p.window_columns;
}

}  // namespace tls::gpu
