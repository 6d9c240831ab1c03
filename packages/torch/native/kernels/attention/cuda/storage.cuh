// What a block keeps in shared memory, and how rows come there.
#pragma once

#include "places.cuh"
#include "tiles.cuh"

namespace tls::gpu {

// Keys that meet the queries of a block at once; where keys are a block's rows, queries.
template <class T>
constexpr int kColumnTile = sizeof(T) == 2 ? 64 : 32;
// Places, or keys, that the pairs of such a tile have, if each row's lie one further than the next one's.
template <class T>
constexpr int kBandTile = kRows + kColumnTile<T>;
// Components of results that a block computes, at most.
constexpr int kMostComponents = 64;

// Components of a row as products see it, behind its own zeros; and of a row as tiles have it, whole runs of components.
__host__ __device__ inline int padded_head(int head_size) { return (head_size + 15) / 16 * 16; }
__host__ __device__ inline int components_of(int head_size) { return head_size <= 32 ? 32 : kMostComponents; }
__host__ __device__ inline int tile_width(int head_size) {
  return (head_size + components_of(head_size) - 1) / components_of(head_size) * components_of(head_size);
}

// Rows of each tile that a kernel needs.
struct StorageRows {
  int queries = 0, placed_queries = 0, gradients = 0, keys = 0, values = 0, positions = 0;
  int strips = 0;  // of a float32 number for each place of a band
  int key_places = kRows;
};

template <class T>
struct Storage {
  Tile<T> queries, placed_queries, gradients, keys, values, positions;
  Tile<float> strips;
  Tile<T> weights;  // a number for each column of a tile, in the memory of the strips
  QueryPlace* query_places;
  KeyPlace* key_places;
  float *largest, *factors, *deltas;  // of each query
  int64_t bytes;

  __host__ __device__ Storage(unsigned char* memory, const StorageRows& rows, int head_size) : next_(reinterpret_cast<uintptr_t>(memory)) {
    const int stride = tile_width(head_size) + kRowPadding;
    queries = {take<T>(rows.queries * stride), stride};
    placed_queries = {take<T>(rows.placed_queries * stride), stride};
    gradients = {take<T>(rows.gradients * stride), stride};
    keys = {take<T>(rows.keys * stride), stride};
    values = {take<T>(rows.values * stride), stride};
    positions = {take<T>(rows.positions * stride), stride};
    constexpr int kWeightStride = kColumnTile<T> + kRowPadding, kStripStride = kBandTile<T> + 4;
    strips = {take<float>(rows.strips * kStripStride), kStripStride};
    weights = {reinterpret_cast<T*>(strips.data), kWeightStride};
    query_places = take<QueryPlace>(kRows);
    key_places = take<KeyPlace>(rows.key_places);
    largest = take<float>(kRows);
    factors = take<float>(kRows);
    deltas = take<float>(kRows);
    bytes = static_cast<int64_t>(next_ - reinterpret_cast<uintptr_t>(memory));
  }

 private:
  template <class U>
  __host__ __device__ U* take(int count) {
    U* const taken = reinterpret_cast<U*>(next_);
    next_ += (static_cast<uintptr_t>(count) * sizeof(U) + 15) / 16 * 16;
    return taken;
  }
  uintptr_t next_;
};

// One head of one sequence.
template <class T>
struct HeadOf {
  T* data;
  int64_t token;
  bool aligned;

  __device__ HeadOf(const HeadRows& rows, int64_t b, int64_t n)
      : data(static_cast<T*>(rows.data) + b * rows.batch + n * rows.head), token(rows.token), aligned(rows.aligned) {}
  __device__ T* at(int64_t t) const { return data + t * token; }
};

// Rows [0, count) of a tile: those of the tokens token_of(row), zeros where that is -1. Beside the arithmetic, where rows lie at multiples of
// 16 bytes; to be committed and waited for in any case.
template <class T, class TokenOf>
__device__ inline void begin_to_load(Tile<T> tile, int count, const HeadOf<T>& from, int head_size, TokenOf token_of) {
  constexpr int kNumbers = 16 / sizeof(T);
  const int chunks = tile_width(head_size) / kNumbers;
  for (int i = threadIdx.x; i < count * chunks; i += kThreads) {
    const int row = i / chunks, column = i % chunks * kNumbers, token = token_of(row);
    T* const to = tile.at(row, column);
    if (from.aligned) {
      const bool present = token >= 0 && column < head_size;
      copy_16_bytes(to, present ? from.at(token) + column : from.data, present);
    } else {
      for (int j = 0; j < kNumbers; ++j)
        to[j] = token >= 0 && column + j < head_size ? from.at(token)[column + j] : to_type<T>(0);
    }
  }
}

// The same with a factor, and biases (H) or none.
template <class T, class TokenOf>
__device__ inline void load_scaled(Tile<T> tile, int count, const HeadOf<T>& from, int head_size, float factor, const T* bias,
                                   TokenOf token_of) {
  constexpr int kNumbers = 16 / sizeof(T);
  struct alignas(16) Chunk {
    T numbers[kNumbers];
  };
  const int chunks = tile_width(head_size) / kNumbers;
  for (int i = threadIdx.x; i < count * chunks; i += kThreads) {
    const int row = i / chunks, column = i % chunks * kNumbers, token = token_of(row);
    Chunk chunk;
    const bool present = token >= 0 && column < head_size;
    if (present && from.aligned) chunk = *reinterpret_cast<const Chunk*>(from.at(token) + column);
#pragma unroll
    for (int j = 0; j < kNumbers; ++j) {
      const bool inside = present && column + j < head_size;
      float x = 0;
      if (inside) x = to_float(from.aligned ? chunk.numbers[j] : from.at(token)[column + j]) * factor;
      if (inside && bias != nullptr) x += to_float(bias[column + j]);
      chunk.numbers[j] = to_type<T>(x);
    }
    *reinterpret_cast<Chunk*>(tile.at(row, column)) = chunk;
  }
}

}  // namespace tls::gpu
