// Products of small matrices that lie in the nearest caches, as attention needs them tile by tile.
#pragma once

#include "vectors.h"

namespace tls {
namespace {

// How many registers hold sums: what is left of 32 or 16 after a row of b and an element of a.
#if defined(__AVX512F__)
constexpr int kSums = 24, kWidest = 4, kTallest = 12;
#else
constexpr int kSums = 12, kWidest = 2, kTallest = 6;
#endif

constexpr int tallest(int vectors) { return kSums / vectors < kTallest ? kSums / vectors : kTallest; }

// What a product is added to: nothing, what the result holds, or to each row of it the same row.
enum class Start { nothing, result, row };

template <class T, int Rows, int Vectors, Start kStart>
TLS_INLINE void register_block(int64_t depth, const T* a, int64_t a_row, int64_t a_column, const T* b, int64_t b_row, T* c,
                               int64_t c_row, const T* start) {
  constexpr int lanes = kLanes<T>;
  Vector<T> sums[Rows][Vectors];
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < Vectors; ++j) sums[i][j] = Vector<T>{};
  for (int64_t p = 0; p < depth; ++p) {
    Vector<T> row[Vectors];
#pragma GCC unroll 4
    for (int j = 0; j < Vectors; ++j) row[j] = load(b + p * b_row + j * lanes);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const Vector<T> one = splat(a[i * a_row + p * a_column]);
#pragma GCC unroll 4
      for (int j = 0; j < Vectors; ++j) sums[i][j] += one * row[j];
    }
  }
  // What there was is added last: sums of many products, a part after the other, are then as exact as sums of sums.
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < Vectors; ++j) {
      T* to = c + i * c_row + j * lanes;
      if constexpr (kStart == Start::nothing)
        store(to, sums[i][j]);
      else
        store(to, load(kStart == Start::result ? to : start + j * lanes) + sums[i][j]);
    }
}

template <class T, int Vectors, Start kStart, int Rows = tallest(Vectors)>
TLS_INLINE void last_rows(int64_t rows, int64_t depth, const T* a, int64_t a_row, int64_t a_column, const T* b,
                          int64_t b_row, T* c, int64_t c_row, const T* start) {
  if constexpr (Rows > 0) {
    if (rows == Rows)
      return register_block<T, Rows, Vectors, kStart>(depth, a, a_row, a_column, b, b_row, c, c_row, start);
    last_rows<T, Vectors, kStart, Rows - 1>(rows, depth, a, a_row, a_column, b, b_row, c, c_row, start);
  }
}

template <class T, int Vectors, Start kStart>
void panel(int64_t rows, int64_t depth, const T* a, int64_t a_row, int64_t a_column, const T* b, int64_t b_row, T* c,
           int64_t c_row, const T* start) {
  constexpr int step = tallest(Vectors);
  int64_t i = 0;
  for (; i + step <= rows; i += step)
    register_block<T, step, Vectors, kStart>(depth, a + i * a_row, a_row, a_column, b, b_row, c + i * c_row, c_row, start);
  if (i < rows)
    last_rows<T, Vectors, kStart>(rows - i, depth, a + i * a_row, a_row, a_column, b, b_row, c + i * c_row, c_row, start);
}

// A matrix in memory: element (i, j) is at data[i * row + j * column].
template <class T>
struct Matrix {
  const T* data;
  int64_t row;
  int64_t column = 1;

  Matrix from(int64_t first) const { return {data + first * row, row, column}; }
};

// c (rows, columns) = a (rows, depth) b (depth, columns) and what it starts with; `start` is a row where that is one. Rows of b and c are
// contiguous; columns is a whole number of vectors.
template <Start kStart, class T>
void product(int64_t rows, int64_t columns, int64_t depth, Matrix<T> a, const T* b, int64_t b_row, T* c, int64_t c_row,
             const T* start) {
  constexpr int lanes = kLanes<T>;
  const auto of_start = [&](int64_t column) { return kStart == Start::row ? start + column : nullptr; };
  int64_t j = 0;
  for (; j + kWidest * lanes <= columns; j += kWidest * lanes)
    panel<T, kWidest, kStart>(rows, depth, a.data, a.row, a.column, b + j, b_row, c + j, c_row, of_start(j));
  if constexpr (kWidest > 2) {
    if (j + 3 * lanes <= columns) {
      panel<T, 3, kStart>(rows, depth, a.data, a.row, a.column, b + j, b_row, c + j, c_row, of_start(j));
      j += 3 * lanes;
    } else if (j + 2 * lanes <= columns) {
      panel<T, 2, kStart>(rows, depth, a.data, a.row, a.column, b + j, b_row, c + j, c_row, of_start(j));
      j += 2 * lanes;
    }
  }
  if (j < columns) panel<T, 1, kStart>(rows, depth, a.data, a.row, a.column, b + j, b_row, c + j, c_row, of_start(j));
}

// c = a b, or with Add what c holds and that.
template <bool Add, class T>
void product(int64_t rows, int64_t columns, int64_t depth, Matrix<T> a, const T* b, int64_t b_row, T* c, int64_t c_row) {
  product<Add ? Start::result : Start::nothing, T>(rows, columns, depth, a, b, b_row, c, c_row, nullptr);
}

}  // namespace
}  // namespace tls
