// Attention to window keys and shared keys under one softmax, forward and backward (see problem.h for what it computes).
//
// A block of four warps holds 64 rows, each warp 16 of them, and goes through what they meet a tile of 64 (float32: 32) at a
// time; scores exist in registers alone. Forward and for the gradients of queries the rows are queries, for those of keys they are keys,
// for those of positions they are queries that meet places; nothing is added to by two blocks, so that results are the same
// bits each time. What more blocks sum than one (shared keys, positions, biases) goes to the workspace, a copy for each, and is
// summed in their order.
//
// Scores by position: a row's places begin one further left than the next row's (of chunks, after each chunk), so that queries meet a
// tile of positions as they meet keys, the scores go to a strip of shared memory, and each row reads them where they lie for it.
//
// Shape letters: N heads, H head size, C shared keys, S queries of a segment, Y keys that it sees.
#pragma once

#include "../dropout_hash.h"
#include "storage.cuh"

namespace tls::gpu {

constexpr float kHidden = -INFINITY;

// What a block works on: one head of one sequence, and some components of the results.
struct Lane {
  int b, n, component;
  __device__ Lane(const Problem& p, int components)
      : b(blockIdx.z % p.batch), n(blockIdx.y), component(blockIdx.z / p.batch * components) {}
};

// Places [first, end) that a tile of positions holds.
struct PlaceRange {
  int first, end;
};

template <class T, int kComponents, bool kPlaced>
struct AttentionBlock {
  static constexpr int kColumns = kColumnTile<T>, kScores = kColumns / 8, kResults = kComponents / 8, kBand = kBandTile<T>;
  using Scores = float[kScores][4];
  using Results = float[kResults][4];

  const Problem& p;
  Lane lane;
  Storage<T> storage;
  const int depth, first_row;  // of the warp

  __device__ AttentionBlock(const Problem& problem, const StorageRows& rows)
      : p(problem), lane(problem, kComponents), storage(shared_memory(), rows, problem.head_size),
        depth(padded_head(problem.head_size)), first_row(warp_of_thread() * kWarpRows) {}

  // ---- loading ----

  __device__ void place_queries(int count, int kind, const Segments& segments, int first) {
    for (int i = threadIdx.x; i < count; i += kThreads) storage.query_places[i] = query_at(p, lane.b, kind, segments, first + i);
  }
  __device__ void place_keys(int count, int kind, const Area& area, int first) {
    for (int i = threadIdx.x; i < count; i += kThreads) storage.key_places[i] = key_at(p, lane.b, kind, area, first + i);
  }

  __device__ bool has_positions(int kind) const { return kPlaced && p.positions[kind].data != nullptr; }

  __device__ const T* bias_of_head(const void* bias) const {
    return bias == nullptr ? nullptr : static_cast<const T*>(bias) + lane.n * p.head_size;
  }

  // As they meet keys, and positions, of that kind.
  __device__ void load_queries(int count, int kind) {
    const auto token = [&](int row) { return storage.query_places[row].token; };
    const HeadOf<T> from(p.query, lane.b, lane.n);
    const bool window = kind == kWindow;
    load_scaled(storage.queries, count, from, p.head_size, p.scale, window ? bias_of_head(p.query_bias) : nullptr, token);
    if (has_positions(kind))
      load_scaled(storage.placed_queries, count, from, p.head_size, p.scale, window ? bias_of_head(p.position_bias) : nullptr, token);
  }

  __device__ void begin_to_load_queries_rows(Tile<T> tile, int count, const HeadRows& from) {
    begin_to_load(tile, count, HeadOf<T>(from, lane.b, lane.n), p.head_size, [&](int row) { return storage.query_places[row].token; });
  }
  __device__ void begin_to_load_keys_rows(Tile<T> tile, int count, const HeadRows& from) {
    begin_to_load(tile, count, HeadOf<T>(from, lane.b, lane.n), p.head_size, [&](int row) { return storage.key_places[row].token; });
  }
  __device__ void begin_to_load_positions(int count, int kind, const PlaceRange& range) {
    begin_to_load(storage.positions, count, HeadOf<T>(p.positions[kind], 0, lane.n), p.head_size,
                  [&](int row) { return range.first + row < range.end ? range.first + row : -1; });
  }

  // What softmax made of the queries' scores, and what their gradients are measured from.
  __device__ void load_statistics(int count) {
    const int64_t head = (int64_t{lane.b} * p.heads + lane.n) * all_queries(p);
    for (int i = threadIdx.x; i < count; i += kThreads) {
      const int token = storage.query_places[i].token;
      const int64_t at = head + (token < 0 ? 0 : token);
      const bool logarithm = p.log_sums != nullptr;
      storage.largest[i] = token < 0 ? 0 : logarithm ? p.log_sums[at] : p.softmaxes[2 * at];
      storage.factors[i] = token < 0 ? 0 : logarithm ? 1 : p.softmaxes[2 * at + 1];
      storage.deltas[i] = token < 0 ? 0 : p.workspace[at];
    }
  }

  // ---- scores by position ----

  // Of queries [0, queries) and keys of a row, columns [first_column, + columns): the places that there are positions for.
  __device__ PlaceRange places(int kind, int queries, int first_column, int columns) const {
    const int lowest = first_column + storage.query_places[queries - 1].origin;
    const int end = first_column + columns + storage.query_places[0].origin;
    return {most(0, lowest), least(p.places[kind], end)};
  }

  // strip[row][column] = left[row] . right[column], for 16 rows from `row` on and columns from `first` to `end`, and a few more.
  __device__ void fill_strip(int row, Tile<T> left, Tile<T> right, int first, int end) {
    for (int column = first / 16 * 16; column < end; column += 16) {
      float scores[2][4];
      clear(scores);
      add_rows_by_rows(scores, left, row, right, column, depth);
      each_result(scores, [&](int, int r, int c, float x) { *storage.strips.at(row + r, column + c) = x; });
    }
  }

  // Places of `own` that a tile holds whose first one is `tile`, counted from there.
  __device__ static PlaceRange within_tile(const PlaceRange& own, const PlaceRange& all, int tile) {
    return {most(0, own.first - tile), least(least(all.end, own.end) - tile, kBand)};
  }
  // Scores of 16 queries from `row` on by position go to their strip, where the tile has the places.
  __device__ void scores_of_places(int row, const PlaceRange& range) {
    fill_strip(row, storage.placed_queries, storage.positions, range.first, range.end);
  }

  // Tiles of a range of places: act(first place of the tile), the tile in shared memory. Rows whose places lie far apart need more than
  // one; `in_memory` says which one is there.
  template <class Do>
  __device__ void each_place_tile(int kind, const PlaceRange& all, int& in_memory, Do act) {
    for (int tile = all.first; tile < all.end; tile += kBand) {
      if (tile != in_memory) {
        sync_block();
        begin_to_load_positions(kBand, kind, {tile, all.end});
        commit_copies();
        wait_for_copies<0>();
        sync_block();
        in_memory = tile;
      }
      act(tile);
    }
  }

  // ---- weights ----

  __device__ bool seen(int kind, const QueryPlace& query, const KeyPlace& key) const { return sees(p, kind, query, key); }

  __device__ float bias_of(int kind, const QueryPlace& query, const KeyPlace& key) const {
    if (kind != kWindow || p.bias == nullptr) return 0;
    return to_float(static_cast<const T*>(p.bias)[bias_index(query, key)]);
  }
  __device__ int64_t bias_index(const QueryPlace& query, const KeyPlace& key) const {
    const int64_t row = int64_t{lane.n} * segment_size(p) + within_segment(p, query.token);
    return row * p.key_rows * p.key_columns + place_of(p, query, key);
  }

  __device__ bool drops() const { return p.dropped_below != 0; }
  __device__ bool is_dropped(int kind, const QueryPlace& query, const KeyPlace& key) const {
    const QueryHash hash(p.seed, (int64_t{lane.b} * p.heads + lane.n) * all_queries(p) + query.token);
    const int place = kind == kShared ? key.column : p.first_window_place + place_of(p, query, key);
    return hash.chance(static_cast<uint32_t>(place)) < p.dropped_below;
  }

  // ---- results ----

  // (16, components) of the warp to the rows of two tokens a thread, times a factor each.
  __device__ void write_rows(Results& results, const HeadRows& to, const int (&tokens)[2], const float (&factors)[2]) {
    const HeadOf<T> rows(to, lane.b, lane.n);
    each_result(results, [&](int half, int, int column, float x) {
      const int token = tokens[half], component = lane.component + column;
      if (token >= 0 && component < p.head_size) rows.at(token)[component] = to_type<T>(x * factors[half]);
    });
  }
};

// ---- forward -----------------------------------------------------------------------------------------------------------------

template <class T>
__host__ __device__ StorageRows forward_rows(bool placed) {
  StorageRows rows;
  rows.queries = kRows;
  rows.keys = rows.values = kColumnTile<T>;
  if (placed) {
    rows.placed_queries = rows.strips = kRows;
    rows.positions = kBandTile<T>;
  }
  return rows;
}

// Rows are queries: goes through the keys that they see.
template <class T, int kComponents, bool kPlaced>
struct QueryBlock : AttentionBlock<T, kComponents, kPlaced> {
  using Base = AttentionBlock<T, kComponents, kPlaced>;
  using Base::p, Base::lane, Base::storage, Base::first_row, Base::depth, Base::kColumns, Base::kBand;
  using Scores = typename Base::Scores;

  const QueryTiling tiling;
  const Segments segments;
  const int first_query;
  QueryPlace own[2] = {{-1, 0, 0, 0, 0}, {-1, 0, 0, 0, 0}};  // of the two rows that this thread holds numbers of
  // Places that the pairs of a tile, or those of a warp, have; and the first one that the tile of positions holds.
  PlaceRange places_of_tile, places_of_warp;
  int in_memory;

  __device__ QueryBlock(const Problem& problem, const StorageRows& rows)
      : Base(problem, rows), tiling(problem, kRows), segments(tiling.segments(problem, blockIdx.x)),
        first_query(tiling.first_query(blockIdx.x, kRows)) {}

  __device__ void begin_kind(int kind) {
    sync_block();
    this->place_queries(kRows, kind, segments, first_query);
    sync_block();
    this->load_queries(kRows, kind);
    const int row = first_row + lane_of_thread() / 4;
    own[0] = storage.query_places[row];
    own[1] = storage.query_places[row + 8];
  }

  // Keys of the area from `first` on, and the positions that come first among theirs: two groups of copies, keys and positions, then values.
  __device__ void begin_keys(int kind, const Area& area, int first) {
    sync_block();  // all are done with the tiles
    this->place_keys(kColumns, kind, area, first);
    sync_block();
    this->begin_to_load_keys_rows(storage.keys, kColumns, p.key[kind]);
    if (this->has_positions(kind)) {
      places_of_tile = this->places(kind, kRows, area.column + first, kColumns);
      in_memory = places_of_tile.first;
      places_of_warp = {area.column + first + storage.query_places[first_row + kWarpRows - 1].origin,
                     area.column + first + kColumns + storage.query_places[first_row].origin};
      this->begin_to_load_positions(kBand, kind, places_of_tile);
    }
    commit_copies();
    this->begin_to_load_keys_rows(storage.values, kColumns, p.value[kind]);
    commit_copies();
    wait_for_copies<1>();
    sync_block();
  }

  // Scores of 16 queries with the keys of the tile, hidden where they do not see them.
  __device__ void compute_scores(int kind, Scores& scores) {
    clear(scores);
    add_rows_by_rows(scores, storage.queries, first_row, storage.keys, 0, depth);
    if (this->has_positions(kind))
      this->each_place_tile(kind, places_of_tile, in_memory, [&](int first) {
        sync_warp();
        this->scores_of_places(first_row, Base::within_tile(places_of_warp, places_of_tile, first));
        sync_warp();
        each_result(scores, [&](int half, int row, int column, float& x) {
          const KeyPlace key = storage.key_places[column];
          const int at = place_of(p, own[half], key) - first;
          if (this->seen(kind, own[half], key) && at >= 0 && at < kBand) x += *storage.strips.at(first_row + row, at);
        });
      });
    each_result(scores, [&](int half, int, int column, float& x) {
      const KeyPlace key = storage.key_places[column];
      x = this->seen(kind, own[half], key) ? x + this->bias_of(kind, own[half], key) : kHidden;
    });
  }
};

template <class T, int kComponents, bool kPlaced>
__global__ void __launch_bounds__(kThreads) forward_kernel(const __grid_constant__ Problem p) {
  QueryBlock<T, kComponents, kPlaced> block(p, forward_rows<T>(kPlaced));
  typename QueryBlock<T, kComponents, kPlaced>::Scores scores;
  float results[kComponents / 8][4];
  clear(results);
  float largest[2] = {kHidden, kHidden}, sums[2] = {0, 0};
  for (int kind = 0; kind < 2; ++kind) {
    const Area area = seen_area(p, kind, block.segments);
    if (area.count() == 0) continue;
    block.begin_kind(kind);
    for (int first = 0; first < area.count(); first += block.kColumns) {
      block.begin_keys(kind, area, first);
      block.compute_scores(kind, scores);
      float now[2] = {largest[0], largest[1]};
      each_result(scores, [&](int half, int, int, float x) { now[half] = fmaxf(now[half], x); });
      for (int half = 0; half < 2; ++half) {
        now[half] = largest_of_row(now[half]);
        // Nothing seen so far: any number, all weights are 0.
        const float shrinks = now[half] == kHidden ? 1 : exponential(largest[half] - now[half], T{});
        largest[half] = now[half];
        if (now[half] == kHidden) now[half] = 0;
        sums[half] *= shrinks;
        for (int n = 0; n < kComponents / 8; ++n) {
          results[n][2 * half] *= shrinks;
          results[n][2 * half + 1] *= shrinks;
        }
      }
      each_result(scores, [&](int half, int, int column, float& x) {
        x = exponential(x - now[half], T{});
        sums[half] += x;
        if (block.drops() && x != 0)
          x = block.is_dropped(kind, block.own[half], block.storage.key_places[column]) ? 0 : x * p.kept_factor;
      });
      wait_for_copies<0>();
      sync_block();
      add_results_by_columns(results, scores, block.storage.values, block.lane.component);
    }
  }
  float factors[2];
  for (int half = 0; half < 2; ++half) {
    const float sum = sum_of_row(sums[half]);
    factors[half] = 1 / sum;
    const int token = block.own[half].token;
    if (token < 0 || block.lane.component != 0 || lane_of_thread() % 4 != 0) continue;
    const int64_t at = (int64_t{block.lane.b} * p.heads + block.lane.n) * all_queries(p) + token;
    if (p.log_sums != nullptr) p.log_sums[at] = largest[half] + logf(sum);
    if (p.softmaxes != nullptr) {
      p.softmaxes[2 * at] = largest[half];
      p.softmaxes[2 * at + 1] = factors[half];
    }
  }
  block.write_rows(results, p.result, {block.own[0].token, block.own[1].token}, factors);
}

}  // namespace tls::gpu
