// Tiles in shared memory and products of them: a warp multiplies 16 rows of one tile with rows or columns of another, in registers.
//
// bfloat16 and float16 take one matrix instruction for 16 terms. float32 is split in two parts of 11 bits each, and the three products
// that count are summed; their sums are short, because tensor cores round each one towards 0, and are then added to the
// long one by the ordinary adders.
//
// Names of sizes: rows of A and of the result 16; columns of B and of the result 8 * kColumns.
#pragma once

#include "primitives.cuh"

namespace tls::gpu {

constexpr int kThreads = 128;
constexpr int kWarps = kThreads / kWarpThreads;
constexpr int kWarpRows = 16;
// Rows of a block: queries of most kernels.
constexpr int kRows = kWarps * kWarpRows;

// Terms of one matrix instruction.
template <class T>
constexpr int kDepth = 16;
template <>
inline constexpr int kDepth<float> = 8;

// Numbers behind each row, so that neighbouring rows lie in different banks and rows at multiples of 16 bytes.
constexpr int kRowPadding = 8;

template <class T>
struct Tile {
  T* data;
  int stride;

  __device__ T* at(int row, int column) const { return data + row * stride + column; }
};

__device__ inline int lane_of_thread() { return threadIdx.x % kWarpThreads; }
__device__ inline int warp_of_thread() { return threadIdx.x / kWarpThreads; }

// ---- operands ----------------------------------------------------------------------------------------------------------------
//
// The terms of a float32 product are taken in the order 0 2 4 6 1 3 5 7, on both sides: so a lane's two terms are neighbours, and
// results are operands without moving.

// 16 rows of A, or two neighbouring groups of 8 columns of B.
template <class T>
struct Operand {
  uint32_t words[4];
};
template <>
struct Operand<float> {
  uint32_t high[4], low[4];

  __device__ void set(int i, float x) {
    high[i] = nearest_tf32(x);
    low[i] = nearest_tf32(x - float_of(high[i]));
  }
};

// a(m, k) = tile[row + m][column + k]
template <class T>
__device__ inline void read_a(Operand<T>& a, Tile<T> tile, int row, int column) {
  const int lane = lane_of_thread();
  if constexpr (sizeof(T) == 2) {
    load_matrices(a.words, tile.at(row + lane % 16, column + lane / 16 * 8));
  } else {
    const float *upper = tile.at(row + lane / 4, column + lane % 4 * 2), *lower = upper + 8 * tile.stride;
    a.set(0, upper[0]);
    a.set(1, lower[0]);
    a.set(2, upper[1]);
    a.set(3, lower[1]);
  }
}

// a(m, k) = tile[row + k][column + m]
template <class T>
__device__ inline void read_a_across(Operand<T>& a, Tile<T> tile, int row, int column) {
  const int lane = lane_of_thread();
  if constexpr (sizeof(T) == 2) {
    load_matrices_across(a.words, tile.at(row + lane % 8 + lane / 16 * 8, column + lane / 8 % 2 * 8));
  } else {
    const float *first = tile.at(row + lane % 4 * 2, column + lane / 4), *second = first + tile.stride;
    a.set(0, first[0]);
    a.set(1, first[8]);
    a.set(2, second[0]);
    a.set(3, second[8]);
  }
}

// a(m, k) = tile[row + m][column + k], of float32 numbers in any case.
template <class T>
__device__ inline void read_a_rounded(Operand<T>& a, Tile<float> tile, int row, int column) {
  const int lane = lane_of_thread();
  if constexpr (sizeof(T) == 4) {
    read_a(a, tile, row, column);
  } else {
    const float *upper = tile.at(row + lane / 4, column + lane % 4 * 2), *lower = upper + 8 * tile.stride;
    a.words[0] = packed(upper[0], upper[1], T{});
    a.words[1] = packed(lower[0], lower[1], T{});
    a.words[2] = packed(upper[8], upper[9], T{});
    a.words[3] = packed(lower[8], lower[9], T{});
  }
}

// a = columns [step * kDepth, + kDepth) of results (16, 8 * kColumns).
template <class T, int kColumns>
__device__ inline void read_a_of_results(Operand<T>& a, const float (&results)[kColumns][4], int step) {
  if constexpr (sizeof(T) == 2) {
    const float(&left)[4] = results[2 * step], (&right)[4] = results[2 * step + 1];
    a.words[0] = packed(left[0], left[1], T{});
    a.words[1] = packed(left[2], left[3], T{});
    a.words[2] = packed(right[0], right[1], T{});
    a.words[3] = packed(right[2], right[3], T{});
  } else {
    a.set(0, results[step][0]);
    a.set(1, results[step][2]);
    a.set(2, results[step][1]);
    a.set(3, results[step][3]);
  }
}

// b(k, n) = tile[row + n][column + k] for 16 n
template <class T>
__device__ inline void read_b(Operand<T>& b, Tile<T> tile, int row, int column) {
  const int lane = lane_of_thread();
  if constexpr (sizeof(T) == 2) {
    load_matrices(b.words, tile.at(row + lane % 8 + lane / 16 * 8, column + lane / 8 % 2 * 8));
  } else {
    const float *first = tile.at(row + lane / 4, column + lane % 4 * 2), *second = first + 8 * tile.stride;
    b.set(0, first[0]);
    b.set(1, first[1]);
    b.set(2, second[0]);
    b.set(3, second[1]);
  }
}

// b(k, n) = tile[row + k][column + n] for 16 n
template <class T>
__device__ inline void read_b_across(Operand<T>& b, Tile<T> tile, int row, int column) {
  const int lane = lane_of_thread();
  if constexpr (sizeof(T) == 2) {
    load_matrices_across(b.words, tile.at(row + lane % 16, column + lane / 16 * 8));
  } else {
    const float *first = tile.at(row + lane % 4 * 2, column + lane / 4), *second = first + tile.stride;
    b.set(0, first[0]);
    b.set(1, second[0]);
    b.set(2, first[8]);
    b.set(3, second[8]);
  }
}

// ---- products ----------------------------------------------------------------------------------------------------------------

// Results (16, 8 * kColumns) of a product while it is summed.
template <class T, int kColumns>
struct Sums {
  __device__ explicit Sums(float (&to)[kColumns][4]) : to_(to) {}
  // Columns [8 * n, + 16).
  __device__ void add(int n, const Operand<T>& a, const Operand<T>& b) {
    mma_16bit(to_[n], a.words, {b.words[0], b.words[1]}, T{});
    mma_16bit(to_[n + 1], a.words, {b.words[2], b.words[3]}, T{});
  }
  __device__ void finish() {}

 private:
  float (&to_)[kColumns][4];
};

template <int kColumns>
struct Sums<float, kColumns> {
  __device__ explicit Sums(float (&to)[kColumns][4]) : to_(to) {
#pragma unroll
    for (int n = 0; n < kColumns; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) high_[n][i] = low_[n][i] = 0;
  }
  __device__ void add(int n, const Operand<float>& a, const Operand<float>& b) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const uint32_t high[2] = {b.high[2 * half], b.high[2 * half + 1]}, low[2] = {b.low[2 * half], b.low[2 * half + 1]};
      mma_tf32(low_[n + half], a.low, high);
      mma_tf32(low_[n + half], a.high, low);
      mma_tf32(high_[n + half], a.high, high);
    }
  }
  __device__ void finish() {
#pragma unroll
    for (int n = 0; n < kColumns; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) to_[n][i] += high_[n][i] + low_[n][i];
  }

 private:
  float (&to_)[kColumns][4];
  float high_[kColumns][4], low_[kColumns][4];
};

template <int kColumns>
__device__ inline void clear(float (&x)[kColumns][4]) {
#pragma unroll
  for (int n = 0; n < kColumns; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i) x[n][i] = 0;
}

// c(m, n) += sum over `depth` components of a[row + m] b[first + n].
template <class T, int kColumns>
__device__ inline void add_rows_by_rows(float (&c)[kColumns][4], Tile<T> a, int row, Tile<T> b, int first, int depth) {
  Sums<T, kColumns> sums(c);
#pragma unroll 4
  for (int k = 0; k < depth; k += kDepth<T>) {
    Operand<T> left;
    read_a(left, a, row, k);
#pragma unroll
    for (int n = 0; n < kColumns; n += 2) {
      Operand<T> right;
      read_b(right, b, first + 8 * n, k);
      sums.add(n, left, right);
    }
  }
  sums.finish();
}

// c(m, n) += sum over k of weights(m, k) b[k][column + n].
template <class T, int kTerms, int kColumns>
__device__ inline void add_results_by_columns(float (&c)[kColumns][4], const float (&weights)[kTerms][4], Tile<T> b, int column) {
  Sums<T, kColumns> sums(c);
#pragma unroll
  for (int step = 0; step < 8 * kTerms / kDepth<T>; ++step) {
    Operand<T> left;
    read_a_of_results<T>(left, weights, step);
#pragma unroll
    for (int n = 0; n < kColumns; n += 2) {
      Operand<T> right;
      read_b_across(right, b, step * kDepth<T>, column + 8 * n);
      sums.add(n, left, right);
    }
  }
  sums.finish();
}

// c(m, n) += sum over k in [first, end) of a[row + m][k] b[k][column + n]; first and end multiples of 16.
template <class T, int kColumns>
__device__ inline void add_rounded_by_columns(float (&c)[kColumns][4], Tile<float> a, int row, Tile<T> b, int column, int first,
                                              int end) {
  Sums<T, kColumns> sums(c);
  for (int k = first; k < end; k += kDepth<T>) {
    Operand<T> left;
    read_a_rounded<T>(left, a, row, k);
#pragma unroll
    for (int n = 0; n < kColumns; n += 2) {
      Operand<T> right;
      read_b_across(right, b, k, column + 8 * n);
      sums.add(n, left, right);
    }
  }
  sums.finish();
}

// c(m, n) += sum over k < depth of a[k][row + m] b[k][column + n].
template <class T, int kColumns>
__device__ inline void add_columns_by_columns(float (&c)[kColumns][4], Tile<T> a, int row, Tile<T> b, int column, int depth) {
  Sums<T, kColumns> sums(c);
#pragma unroll 4
  for (int k = 0; k < depth; k += kDepth<T>) {
    Operand<T> left;
    read_a_across(left, a, k, row);
#pragma unroll
    for (int n = 0; n < kColumns; n += 2) {
      Operand<T> right;
      read_b_across(right, b, k, column + 8 * n);
      sums.add(n, left, right);
    }
  }
  sums.finish();
}

// ---- results -----------------------------------------------------------------------------------------------------------------

// act(half, row of 16, column, number) for each that this lane holds: rows of the upper half, 0, and of the lower one, 1.
template <int kColumns, class Do>
__device__ inline void each_result(float (&results)[kColumns][4], Do act) {
  const int lane = lane_of_thread();
#pragma unroll
  for (int n = 0; n < kColumns; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i) act(i < 2 ? 0 : 1, lane / 4 + (i < 2 ? 0 : 8), 8 * n + lane % 4 * 2 + i % 2, results[n][i]);
}

// The same of two, side by side.
template <int kColumns, class Do>
__device__ inline void each_result(float (&left)[kColumns][4], float (&right)[kColumns][4], Do act) {
  const int lane = lane_of_thread();
#pragma unroll
  for (int n = 0; n < kColumns; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i)
      act(i < 2 ? 0 : 1, lane / 4 + (i < 2 ? 0 : 8), 8 * n + lane % 4 * 2 + i % 2, left[n][i], right[n][i]);
}

// Over the four lanes that hold a row.
__device__ inline float sum_of_row(float x) {
  x += of_lane_xor(x, 1);
  return x + of_lane_xor(x, 2);
}
__device__ inline float largest_of_row(float x) {
  x = fmaxf(x, of_lane_xor(x, 1));
  return fmaxf(x, of_lane_xor(x, 2));
}

}  // namespace tls::gpu
