// Gradients of attention: of queries, of keys and values, of positions and of biases, a kernel each. All of them compute the weights again from
// what the forward pass remembers of each query's softmax.
//
// Shape letters: B batch, N heads, H head size, C shared keys, S queries of a segment, Y keys that it sees.
#pragma once

#include "attention.cuh"

namespace tls::gpu {

// Copies of sums that many blocks add to, so many that the blocks of one kernel are about kBlocks: it depends on sizes alone.
constexpr int kBlocks = 512;

__host__ __device__ inline int copies_of(int64_t tiles, int64_t items) {
  const int64_t wanted = (kBlocks + tiles - 1) / (tiles > 0 ? tiles : 1);
  return static_cast<int>(wanted < 1 ? 1 : wanted < items ? wanted : items > 0 ? items : 1);
}

// Where sums lie in the workspace, in numbers, and of how many copies.
struct Workspace {
  int64_t query_bias, position_bias, shared_keys, shared_values, bias, positions[2], numbers;
  int tiles, shared_copies, bias_copies, position_copies[2];

  __host__ __device__ Workspace(const Problem& p, int column_tile) {
    const int64_t B = p.batch, N = p.heads, H = p.head_size;
    numbers = B * N * all_queries(p);  // the deltas
    tiles = QueryTiling(p, kRows).tiles(p);
    query_bias = take(p.query_bias != nullptr ? B * tiles * N * H : 0);
    position_bias = take(p.position_bias != nullptr ? B * tiles * N * H : 0);
    const int64_t shared_tiles = KeyTiling(p, kShared, kRows).tiles();
    shared_copies = copies_of(shared_tiles * B * N, (all_queries(p) + 4 * column_tile - 1) / (4 * column_tile));
    shared_keys = take(shared_copies * B * p.shared * N * H);
    shared_values = take(shared_copies * B * p.shared * N * H);
    const int S = segment_size(p), Y = p.key_rows * p.key_columns;
    bias_copies = copies_of(int64_t{quotient_up(S, kRows)} * quotient_up(Y, column_tile) * N, B * p.segment_rows * p.segment_columns);
    bias = take(p.bias != nullptr ? bias_copies * N * S * Y : 0);
    for (int kind = 0; kind < 2; ++kind) {
      const bool placed = p.positions[kind].data != nullptr;
      position_copies[kind] = copies_of(quotient_up(p.places[kind], column_tile) * N, B * tiles);
      positions[kind] = take(placed ? position_copies[kind] * p.places[kind] * N * H : 0);
    }
  }

 private:
  __host__ __device__ int64_t take(int64_t count) {
    const int64_t first = numbers;
    numbers += count;
    return first;
  }
};

// Items [first, end) of copy `copy`.
struct Share {
  int first, end;
  __device__ Share(int copy, int copies, int64_t items)
      : first(static_cast<int>(items * copy / copies)), end(static_cast<int>(items * (copy + 1) / copies)) {}
};

// ---- result . gradient of each query: what the gradients of its weights are measured from ------------------------------------------

template <class T>
__global__ void __launch_bounds__(kThreads) deltas_kernel(const __grid_constant__ Problem p) {
  const int64_t all = p.batch * all_queries(p) * p.heads, item = int64_t{blockIdx.x} * kWarps + warp_of_thread();
  if (item >= all) return;
  const int64_t n = item % p.heads, token = item / p.heads % all_queries(p), b = item / p.heads / all_queries(p);
  const HeadOf<T> results(p.result, b, n), gradients(p.result_gradient, b, n);
  float sum = 0;
  for (int h = lane_of_thread(); h < p.head_size; h += kWarpThreads)
    sum += to_float(results.at(token)[h]) * to_float(gradients.at(token)[h]);
  for (int mask = 1; mask < kWarpThreads; mask *= 2) sum += of_lane_xor(sum, mask);
  if (lane_of_thread() == 0) p.workspace[(b * p.heads + n) * all_queries(p) + token] = sum;
}

// ---- sums of copies --------------------------------------------------------------------------------------------------------------

struct CopySum {
  const float* from;
  void* to;
  int copies;
  int64_t count;
};

template <class T>
__global__ void __launch_bounds__(kThreads) sum_of_copies_kernel(const __grid_constant__ CopySum sum) {
  const int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= sum.count) return;
  float total = 0;
  // Sums of sums of 64: float32 needs that.
  for (int first = 0; first < sum.copies; first += 64) {
    float part = 0;
    for (int copy = first; copy < least(first + 64, sum.copies); ++copy) part += sum.from[copy * sum.count + i];
    total += part;
  }
  static_cast<T*>(sum.to)[i] = to_type<T>(total);
}

// ---- gradients of queries, and of what joins them ------------------------------------------------------------------------------------

template <class T>
__host__ __device__ StorageRows query_gradient_rows(bool placed) {
  StorageRows rows = forward_rows<T>(placed);
  rows.gradients = kRows;
  return rows;
}

template <class T, int kComponents, bool kPlaced>
struct QueryGradientBlock : QueryBlock<T, kComponents, kPlaced> {
  using Base = QueryBlock<T, kComponents, kPlaced>;
  using Base::p, Base::lane, Base::storage, Base::first_row, Base::own, Base::kBand, Base::places_of_tile, Base::places_of_warp, Base::in_memory;
  using Scores = typename Base::Scores;
  using Results = typename Base::Results;

  float largest[2], factors[2], deltas[2];

  __device__ explicit QueryGradientBlock(const Problem& problem) : Base(problem, query_gradient_rows<T>(kPlaced)) {}

  __device__ void begin(int kind) {
    this->begin_kind(kind);
    this->begin_to_load_queries_rows(storage.gradients, kRows, p.result_gradient);
    commit_copies();
    this->load_statistics(kRows);
    sync_block();
    for (int half = 0; half < 2; ++half) {
      const int row = first_row + lane_of_thread() / 4 + 8 * half;
      largest[half] = storage.largest[row];
      factors[half] = storage.factors[row];
      deltas[half] = storage.deltas[row];
    }
  }

  // Scores become their gradients.
  __device__ void differentiate(int kind, Scores& scores) {
    Scores gradients;
    clear(gradients);
    add_rows_by_rows(gradients, storage.gradients, first_row, storage.values, 0, this->depth);
    each_result(scores, gradients, [&](int half, int, int column, float& x, float g) {
      const float weight = exponential(x - largest[half], T{}) * factors[half];
      if (this->drops() && weight != 0)
        g = this->is_dropped(kind, own[half], storage.key_places[column]) ? 0 : g * p.kept_factor;
      x = weight * (g - deltas[half]);
    });
  }

  // Gradients of scores by position lie in the strip as the scores did.
  __device__ void add_positions(int kind, Scores& scores, Results& results) {
    this->each_place_tile(kind, places_of_tile, in_memory, [&](int tile) {
      const PlaceRange range = Base::within_tile(places_of_warp, places_of_tile, tile);
      const int first = range.first / 16 * 16, end = quotient_up(most(range.end, 0), 16) * 16;
      sync_warp();
      for (int row = 0; row < kWarpRows; ++row)
        for (int column = first + lane_of_thread(); column < end; column += kWarpThreads)
          *storage.strips.at(first_row + row, column) = 0;
      sync_warp();
      each_result(scores, [&](int half, int row, int column, float x) {
        const KeyPlace key = storage.key_places[column];
        const int at = place_of(p, own[half], key) - tile;
        if (this->seen(kind, own[half], key) && at >= 0 && at < kBand) *storage.strips.at(first_row + row, at) = x;
      });
      sync_warp();
      add_rounded_by_columns(results, storage.strips, first_row, storage.positions, lane.component, first, end);
    });
  }

  // Sums over the rows of the block, (components), to one copy of (N, H).
  __device__ void write_sum_of_rows(Results& results, float* copy) {
    sync_block();
    each_result(results, [&](int half, int, int column, float x) {
      if (half == 0) return;
      const int n = column / 8, i = column % 2;
      float sum = x + results[n][i];
      for (int mask = 4; mask < kWarpThreads; mask *= 2) sum += of_lane_xor(sum, mask);
      if (lane_of_thread() < 4) *storage.strips.at(warp_of_thread(), column) = sum;
    });
    sync_block();
    const int column = threadIdx.x, component = lane.component + column;
    if (column < kComponents && component < p.head_size) {
      float sum = 0;
      for (int warp = 0; warp < kWarps; ++warp) sum += *storage.strips.at(warp, column);
      copy[lane.n * p.head_size + component] = sum;
    }
  }
};

template <class T, int kComponents, bool kPlaced>
__global__ void __launch_bounds__(kThreads) query_gradients_kernel(const __grid_constant__ Problem p) {
  QueryGradientBlock<T, kComponents, kPlaced> block(p);
  typename decltype(block)::Scores scores;
  typename decltype(block)::Results of_keys, of_positions;
  clear(of_keys);
  clear(of_positions);
  const Workspace workspace(p, block.kColumns);
  for (int kind = 0; kind < 2; ++kind) {
    const Area area = seen_area(p, kind, block.segments);
    if (area.count() > 0) {
      block.begin(kind);
      for (int first = 0; first < area.count(); first += block.kColumns) {
        block.begin_keys(kind, area, first);
        block.compute_scores(kind, scores);
        wait_for_copies<0>();
        sync_block();
        block.differentiate(kind, scores);
        add_results_by_columns(of_keys, scores, block.storage.keys, block.lane.component);
        if (block.has_positions(kind)) block.add_positions(kind, scores, of_positions);
      }
    }
    if constexpr (kPlaced) {
      if (kind != kWindow) continue;
      const int64_t copy = (int64_t{block.lane.b} * workspace.tiles + blockIdx.x) * p.heads * p.head_size;
      if (p.query_bias != nullptr) block.write_sum_of_rows(of_keys, p.workspace + workspace.query_bias + copy);
      if (p.position_bias != nullptr) block.write_sum_of_rows(of_positions, p.workspace + workspace.position_bias + copy);
    }
  }
  for (int n = 0; n < kComponents / 8; ++n)
    for (int i = 0; i < 4; ++i) of_keys[n][i] += of_positions[n][i];
  block.write_rows(of_keys, p.query_gradient, {block.own[0].token, block.own[1].token}, {p.scale, p.scale});
}

// ---- gradients of keys and values --------------------------------------------------------------------------------------------------

template <class T>
__host__ __device__ StorageRows key_gradient_rows(bool placed) {
  StorageRows rows;
  rows.keys = rows.values = kRows;
  rows.queries = rows.gradients = kColumnTile<T>;
  if (placed) {
    rows.placed_queries = rows.strips = kColumnTile<T>;
    rows.positions = kBandTile<T>;
  }
  return rows;
}

// Blocks of the window's keys come first, then those of the shared ones, a run of them for each copy of the sums.
struct KeyTileIndex {
  int kind, tile, copy;

  __device__ KeyTileIndex(const Problem& p, int copies) {
    const int of_window = KeyTiling(p, kWindow, kRows).tiles(), index = blockIdx.x;
    kind = index < of_window ? kWindow : kShared;
    tile = kind == kWindow ? index : (index - of_window) / copies;
    copy = kind == kWindow ? 0 : (index - of_window) % copies;
  }
};

// Rows are keys: goes through the queries that see them.
template <class T, int kComponents, bool kPlaced>
struct KeyBlock : AttentionBlock<T, kComponents, kPlaced> {
  using Base = AttentionBlock<T, kComponents, kPlaced>;
  using Base::p, Base::lane, Base::storage, Base::first_row, Base::depth, Base::kColumns, Base::kBand;
  using Scores = typename Base::Scores;
  using Results = typename Base::Results;

  const KeyTileIndex index;
  const KeyTiling tiling;
  const int kind, first_key;
  const Area area;
  KeyPlace own[2];
  PlaceRange places_of_tile;
  int in_memory;

  __device__ KeyBlock(const Problem& problem, int copies)
      : Base(problem, key_gradient_rows<T>(kPlaced)), index(problem, copies), tiling(problem, index.kind, kRows), kind(index.kind),
        first_key(tiling.first_key(index.tile, kRows)), area(tiling.area(problem, kind, index.tile)) {
    this->place_keys(kRows, kind, area, first_key);
    sync_block();
    const int row = first_row + lane_of_thread() / 4;
    own[0] = storage.key_places[row];
    own[1] = storage.key_places[row + 8];
    this->begin_to_load_keys_rows(storage.keys, kRows, p.key[kind]);
    this->begin_to_load_keys_rows(storage.values, kRows, p.value[kind]);
    commit_copies();
  }

  __device__ void begin_queries(const Segments& segments, int first) {
    sync_block();
    this->place_queries(kColumns, kind, segments, first);
    sync_block();
    this->begin_to_load_queries_rows(storage.gradients, kColumns, p.result_gradient);
    if (this->has_positions(kind)) {
      places_of_tile = this->places(kind, kColumns, area.column + first_key, kRows);
      in_memory = places_of_tile.first;
      this->begin_to_load_positions(kBand, kind, places_of_tile);
    }
    commit_copies();
    this->load_queries(kColumns, kind);
    this->load_statistics(kColumns);
    wait_for_copies<0>();
    sync_block();
  }

  // Scores of 16 keys with the queries of the tile become weights, 0 where they are not seen.
  __device__ void compute_weights(Scores& scores) {
    clear(scores);
    add_rows_by_rows(scores, storage.keys, first_row, storage.queries, 0, depth);
    if (this->has_positions(kind))
      this->each_place_tile(kind, places_of_tile, in_memory, [&](int tile) {
        // The strips of all queries, 16 by each warp, then all read them.
        sync_block();
        if (first_row < kColumns) {
          const int column = area.column + first_key;
          const PlaceRange own_places{column + storage.query_places[first_row + kWarpRows - 1].origin,
                                      column + kRows + storage.query_places[first_row].origin};
          this->scores_of_places(first_row, Base::within_tile(own_places, places_of_tile, tile));
        }
        sync_block();
        each_result(scores, [&](int half, int, int column, float& x) {
          const QueryPlace query = storage.query_places[column];
          const int at = place_of(p, query, own[half]) - tile;
          if (this->seen(kind, query, own[half]) && at >= 0 && at < kBand) x += *storage.strips.at(column, at);
        });
      });
    each_result(scores, [&](int half, int, int column, float& x) {
      const QueryPlace query = storage.query_places[column];
      if (!this->seen(kind, query, own[half])) {
        x = 0;
        return;
      }
      x = exponential(x + this->bias_of(kind, query, own[half]) - storage.largest[column], T{}) * storage.factors[column];
    });
  }

  // Weights become what dropout keeps of them, and `gradients` those of the scores.
  __device__ void differentiate(Scores& weights, Scores& gradients) {
    clear(gradients);
    add_rows_by_rows(gradients, storage.values, first_row, storage.gradients, 0, depth);
    each_result(weights, gradients, [&](int half, int, int column, float& x, float& g) {
      const float weight = x;
      if (this->drops() && weight != 0) {
        const bool dropped = this->is_dropped(kind, storage.query_places[column], own[half]);
        g = dropped ? 0 : g * p.kept_factor;
        x = dropped ? 0 : weight * p.kept_factor;
      }
      g = weight * (g - storage.deltas[column]);
    });
  }

  // To a copy (B, C, N, H) of the sums.
  __device__ void write_copy(Results& results, float* copies) {
    float* const copy = copies + int64_t{index.copy} * p.batch * p.shared * p.heads * p.head_size;
    each_result(results, [&](int half, int, int column, float x) {
      const int token = own[half].token, component = lane.component + column;
      if (token < 0 || component >= p.head_size) return;
      copy[((int64_t{lane.b} * p.shared + token) * p.heads + lane.n) * p.head_size + component] = x;
    });
  }
};

template <class T, int kComponents, bool kPlaced>
__global__ void __launch_bounds__(kThreads) key_gradients_kernel(const __grid_constant__ Problem p) {
  const Workspace workspace(p, kColumnTile<T>);
  KeyBlock<T, kComponents, kPlaced> block(p, workspace.shared_copies);
  typename decltype(block)::Scores weights, gradients;
  typename decltype(block)::Results of_keys, of_values;
  clear(of_keys);
  clear(of_values);
  const Segments segments = seeing(p, block.kind, block.area);
  const int queries = query_count(p, segments), tiles = quotient_up(queries, block.kColumns);
  const Share share(block.index.copy, block.kind == kShared ? workspace.shared_copies : 1, tiles);
  for (int tile = share.first; tile < share.end; ++tile) {
    block.begin_queries(segments, tile * block.kColumns);
    block.compute_weights(weights);
    block.differentiate(weights, gradients);
    add_results_by_columns(of_values, weights, block.storage.gradients, block.lane.component);
    add_results_by_columns(of_keys, gradients, block.storage.queries, block.lane.component);
  }
  wait_for_copies<0>();
  if (block.kind == kShared) {
    block.write_copy(of_keys, p.workspace + workspace.shared_keys);
    block.write_copy(of_values, p.workspace + workspace.shared_values);
  } else {
    const int tokens[2] = {block.own[0].token, block.own[1].token};
    block.write_rows(of_keys, p.key_gradient[kWindow], tokens, {1, 1});
    block.write_rows(of_values, p.value_gradient[kWindow], tokens, {1, 1});
  }
}

// ---- gradients of positions -----------------------------------------------------------------------------------------------------------

struct PositionProblem {
  Problem p;
  int kind;
};

template <class T>
__host__ __device__ StorageRows position_gradient_rows() {
  StorageRows rows;
  rows.queries = rows.placed_queries = rows.gradients = rows.strips = kRows;
  rows.keys = rows.key_places = kBandTile<T>;  // values lie where the keys lay
  rows.positions = kColumnTile<T>;
  return rows;
}

// Rows are queries, columns the places of a tile: each pair is one key, and a row's lie one further than those of the row before.
template <class T, int kComponents>
struct PositionBlock : AttentionBlock<T, kComponents, true> {
  using Base = AttentionBlock<T, kComponents, true>;
  using Base::p, Base::lane, Base::storage, Base::first_row, Base::depth, Base::kColumns, Base::kBand;
  using Scores = typename Base::Scores;
  using Results = typename Base::Results;

  const int kind, first_place;
  QueryPlace own[2];

  __device__ PositionBlock(const Problem& problem, int of_kind, int tile)
      : Base(problem, position_gradient_rows<T>()), kind(of_kind), first_place(tile * kColumns) {
    lane.component = blockIdx.z * kComponents;
    this->begin_to_load_positions(kColumns, kind, {first_place, p.places[kind]});
    commit_copies();
  }

  __device__ void begin_queries(const Segments& segments, int first) {
    sync_block();
    this->place_queries(kRows, kind, segments, first);
    sync_block();
    this->begin_to_load_queries_rows(storage.gradients, kRows, p.result_gradient);
    commit_copies();
    this->load_queries(kRows, kind);
    this->load_statistics(kRows);
    const int row = first_row + lane_of_thread() / 4;
    own[0] = storage.query_places[row];
    own[1] = storage.query_places[row + 8];
    wait_for_copies<0>();
    sync_block();
  }

  __device__ int column_of(const QueryPlace& query, int place) const { return first_place + place - query.origin; }

  __device__ void load_band(const HeadRows& from) {
    sync_block();
    this->begin_to_load_keys_rows(storage.keys, kBand, from);
    commit_copies();
    wait_for_copies<0>();
    sync_block();
  }

  // Adds left . band of each row and its keys, or values, by way of its strip.
  __device__ void add_along_band(Scores& scores, Tile<T> left, int first_column, int columns) {
    const int first = column_of(storage.query_places[first_row], 0) - first_column;
    const int end = column_of(storage.query_places[first_row + kWarpRows - 1], kColumns) - first_column;
    sync_warp();
    this->fill_strip(first_row, left, storage.keys, most(0, first), least(columns, end));
    sync_warp();
    each_result(scores, [&](int half, int row, int place, float& x) {
      const int at = column_of(own[half], place) - first_column;
      if (at >= 0 && at < columns) x += *storage.strips.at(first_row + row, at);
    });
  }

  // Gradients of the scores of 16 queries by place.
  __device__ void compute(Scores& scores) {
    Scores gradients;
    clear(scores);
    clear(gradients);
    add_rows_by_rows(scores, storage.placed_queries, first_row, storage.positions, 0, depth);
    const int keys = kind == kWindow ? p.grid_columns : p.shared;
    const int end = least(keys, column_of(storage.query_places[kRows - 1], kColumns));
    for (int column = most(0, column_of(storage.query_places[0], 0)); column < end; column += kBand) {
      const int columns = least(kBand, end - column);
      sync_block();
      this->place_keys(kBand, kind, Area{0, column, 1, columns}, 0);
      load_band(p.key[kind]);
      add_along_band(scores, storage.queries, column, columns);
      load_band(p.value[kind]);
      add_along_band(gradients, storage.gradients, column, columns);
    }
    each_result(scores, gradients, [&](int half, int row, int place, float& x, float g) {
      const int of_row = first_row + row, column = column_of(own[half], place);
      const KeyPlace key{column, 0, column};
      if (column < 0 || column >= keys || !this->seen(kind, own[half], key)) {
        x = 0;
        return;
      }
      const float weight = exponential(x - storage.largest[of_row], T{}) * storage.factors[of_row];
      if (this->drops()) g = this->is_dropped(kind, own[half], key) ? 0 : g * p.kept_factor;
      x = weight * (g - storage.deltas[of_row]);
    });
  }

  __device__ void add(Scores& scores, Results& results) {
    sync_block();  // all have read their strips
    each_result(scores, [&](int, int row, int place, float x) { *storage.weights.at(first_row + row, place) = to_type<T>(x); });
    sync_block();
    if (first_row < kColumns) add_columns_by_columns(results, storage.weights, first_row, storage.placed_queries, lane.component, kRows);
  }

  // To one copy of (places, N, H).
  __device__ void write(Results& results, float* copy) {
    each_result(results, [&](int, int row, int column, float x) {
      const int place = first_place + first_row + row, component = lane.component + column;
      if (first_row < kColumns && place < p.places[kind] && component < p.head_size)
        copy[(int64_t{place} * p.heads + lane.n) * p.head_size + component] = x;
    });
  }
};

template <class T, int kComponents>
__global__ void __launch_bounds__(kThreads) position_gradients_kernel(const __grid_constant__ PositionProblem problem) {
  const Problem& p = problem.p;
  const int kind = problem.kind;
  const Workspace workspace(p, kColumnTile<T>);
  const int copies = workspace.position_copies[kind], copy = blockIdx.x % copies;
  PositionBlock<T, kComponents> block(p, kind, blockIdx.x / copies);
  typename decltype(block)::Scores scores;
  typename decltype(block)::Results results;
  clear(results);
  const QueryTiling tiling(p, kRows);
  const Share share(copy, copies, int64_t{p.batch} * workspace.tiles);
  for (int item = share.first; item < share.end; ++item) {
    block.lane.b = item / workspace.tiles;
    const int tile = item % workspace.tiles;
    block.begin_queries(tiling.segments(p, tile), tiling.first_query(tile, kRows));
    block.compute(scores);
    block.add(scores, results);
  }
  wait_for_copies<0>();
  block.write(results, p.workspace + workspace.positions[kind] + int64_t{copy} * p.places[kind] * p.heads * p.head_size);
}

// ---- gradients of the bias of segments -----------------------------------------------------------------------------------------------

template <class T>
__host__ __device__ StorageRows bias_gradient_rows() {
  StorageRows rows;
  rows.queries = rows.gradients = kRows;
  rows.keys = rows.values = kColumnTile<T>;
  return rows;
}

// Rows are queries of a segment, columns keys that it sees; goes through the segments.
template <class T>
__global__ void __launch_bounds__(kThreads) bias_gradients_kernel(const __grid_constant__ Problem p) {
  AttentionBlock<T, 64, false> block(p, bias_gradient_rows<T>());
  auto& storage = block.storage;
  typename decltype(block)::Scores scores, gradients, sums;
  clear(sums);
  const Workspace workspace(p, block.kColumns);
  const int S = segment_size(p), Y = p.key_rows * p.key_columns, column_tiles = quotient_up(Y, block.kColumns);
  const int copy = blockIdx.x % workspace.bias_copies, tile = blockIdx.x / workspace.bias_copies;
  const int first_query = tile / column_tiles * kRows, first_key = tile % column_tiles * block.kColumns;
  const int segments = p.segment_rows * p.segment_columns;
  const Share share(copy, workspace.bias_copies, int64_t{p.batch} * segments);
  for (int item = share.first; item < share.end; ++item) {
    const int segment = item % segments, row = segment / p.segment_columns, column = segment % p.segment_columns;
    block.lane.b = item / segments;
    sync_block();
    block.place_queries(kRows, kWindow, {row, column, 1, 1}, first_query);
    const Area area{row * p.window_rows + p.first_row, column * p.window_columns + p.first_column, p.key_rows, p.key_columns};
    block.place_keys(block.kColumns, kWindow, area, first_key);
    sync_block();
    block.begin_to_load_keys_rows(storage.keys, block.kColumns, p.key[kWindow]);
    block.begin_to_load_keys_rows(storage.values, block.kColumns, p.value[kWindow]);
    block.begin_to_load_queries_rows(storage.gradients, kRows, p.result_gradient);
    commit_copies();
    block.load_queries(kRows, kWindow);
    block.load_statistics(kRows);
    wait_for_copies<0>();
    sync_block();
    clear(scores);
    clear(gradients);
    add_rows_by_rows(scores, storage.queries, block.first_row, storage.keys, 0, block.depth);
    add_rows_by_rows(gradients, storage.gradients, block.first_row, storage.values, 0, block.depth);
    each_result(scores, gradients, [&](int, int r, int c, float x, float& g) {
      const int of_row = block.first_row + r;
      const QueryPlace query = storage.query_places[of_row];
      const KeyPlace key = storage.key_places[c];
      if (!block.seen(kWindow, query, key)) {
        g = 0;
        return;
      }
      const float weight =
          exponential(x + block.bias_of(kWindow, query, key) - storage.largest[of_row], T{}) * storage.factors[of_row];
      if (block.drops()) g = block.is_dropped(kWindow, query, key) ? 0 : g * p.kept_factor;
      g = weight * (g - storage.deltas[of_row]);
    });
    each_result(sums, gradients, [](int, int, int, float& sum, float g) { sum += g; });
  }
  float* const to = p.workspace + workspace.bias + (int64_t{copy} * p.heads + block.lane.n) * S * Y;
  each_result(sums, [&](int, int r, int c, float x) {
    const int s = first_query + block.first_row + r, y = first_key + c;
    if (s < S && y < Y) to[int64_t{s} * Y + y] = x;
  });
}

}  // namespace tls::gpu
