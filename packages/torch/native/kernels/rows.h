// Rows of numbers: copied side by side, transposed, added, and made weights of.
#pragma once

#include <limits>

#include "vectors.h"

namespace tls {
namespace {

template <class T>
constexpr T kHidden = -std::numeric_limits<T>::infinity();

template <class T>
TLS_INLINE void fill(T* to, int64_t count, T value) {
  int64_t i = 0;
  for (; i + kLanes<T> <= count; i += kLanes<T>) store(to + i, splat(value));
  for (; i < count; ++i) to[i] = value;
}

// Rows of one head lie far apart, in pages of their own at times: processors do not foresee the next one by themselves. How many
// rows ahead it is asked for; one that does not exist does no harm.
constexpr int64_t kRowsAhead = 12;
// Bytes from one row of a head to the next up to which products read them where they lie. Farther apart they meet in the few places that
// the nearest cache has for them, and are packed side by side first.
constexpr int64_t kNearRows = 1024;

template <class T>
TLS_INLINE void prefetch_row(const T* row, int64_t count) {
  for (int64_t i = 0; i < count; i += 64 / static_cast<int64_t>(sizeof(T))) __builtin_prefetch(row + i);
}

template <class T>
TLS_INLINE void prefetch_row_to_write(T* row, int64_t count) {
  for (int64_t i = 0; i < count; i += 64 / static_cast<int64_t>(sizeof(T))) __builtin_prefetch(row + i, 1);
}

// The last numbers of a row; zeros beyond them.
template <class T>
TLS_INLINE Vector<T> load_some(const T* from, int64_t count) {
  if (count == kLanes<T>) return load(from);
  Vector<T> value{};
  for (int64_t i = 0; i < count; ++i) value[i] = from[i];
  return value;
}

template <class T>
TLS_INLINE void store_some(T* to, Vector<T> value, int64_t count) {
  if (count == kLanes<T>) return store(to, value);
  for (int64_t i = 0; i < count; ++i) to[i] = value[i];
}

// Rows of a whole number of vectors, as most are, without the call of a library.
template <class T>
TLS_INLINE void copy(T* to, const T* from, int64_t count) {
  int64_t i = 0;
  for (; i + kLanes<T> <= count; i += kLanes<T>) store(to + i, load(from + i));
  for (; i < count; ++i) to[i] = from[i];
}

// `count` numbers and zeros up to `padded`.
template <class T>
TLS_INLINE void copy_padded(T* to, const T* from, int64_t count, int64_t padded) {
  copy(to, from, count);
  for (int64_t i = count; i < padded; ++i) to[i] = 0;
}

template <class T>
TLS_INLINE void copy_scaled(T* to, const T* from, int64_t count, T factor) {
  int64_t i = 0;
  for (; i + kLanes<T> <= count; i += kLanes<T>) store(to + i, load(from + i) * factor);
  for (; i < count; ++i) to[i] = from[i] * factor;
}

template <class T>
TLS_INLINE void add_scaled(T* to, const T* from, int64_t count, T factor) {
  int64_t i = 0;
  for (; i + kLanes<T> <= count; i += kLanes<T>) store(to + i, load(to + i) + load(from + i) * factor);
  for (; i < count; ++i) to[i] += from[i] * factor;
}

// to = a + b. `count` is a whole number of vectors.
template <class T>
TLS_INLINE void add_rows(T* to, const T* a, const T* b, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes<T>) store(to + i, load(a + i) + load(b + i));
}

// `count` is a whole number of vectors.
template <class T>
TLS_INLINE void add_to_both(T* one, T* other, const T* from, int64_t count) {
  for (int64_t i = 0; i < count; i += kLanes<T>) {
    const Vector<T> more = load(from + i);
    store(one + i, load(one + i) + more);
    store(other + i, load(other + i) + more);
  }
}

// Exchanges the halves of each block of 2 * Step rows and columns that lie off its diagonal: done for every power of two, this
// transposes. `a` and `b` are rows Step apart.
template <int Step, class V, int... Lane>
TLS_INLINE void exchange(V& a, V& b, std::integer_sequence<int, Lane...>) {
  constexpr int lanes = sizeof...(Lane);
  const V first = __builtin_shufflevector(a, b, ((Lane & Step) == 0 ? Lane : lanes + Lane - Step)...);
  b = __builtin_shufflevector(a, b, ((Lane & Step) == 0 ? Lane + Step : lanes + Lane)...);
  a = first;
}

template <class T, int Step = kLanes<T> / 2>
TLS_INLINE void transpose_square(Vector<T>* rows) {
  if constexpr (Step > 0) {
#pragma GCC unroll 16
    for (int i = 0; i < kLanes<T>; ++i)
      if ((i & Step) == 0) exchange<Step>(rows[i], rows[i + Step], std::make_integer_sequence<int, kLanes<T>>{});
    transpose_square<T, Step / 2>(rows);
  }
}

// to[j * to_row + i] = factor * from[i * from_row + j] for i < rows, j < columns. Rows of `from` may be read, and columns of `to` written,
// up to a whole number of vectors; what lies beyond `rows` is of no meaning.
template <class T>
void transpose(T* to, int64_t to_row, const T* from, int64_t from_row, int64_t rows, int64_t columns, T factor = T{1}) {
  constexpr int lanes = kLanes<T>;
  for (int64_t j = 0; j < columns; j += lanes)
    for (int64_t i = 0; i < rows; i += lanes) {
      const int64_t high = rows - i < lanes ? rows - i : lanes, wide = columns - j < lanes ? columns - j : lanes;
      Vector<T> square[lanes];
      for (int64_t r = 0; r < lanes; ++r) square[r] = r < high ? load(from + (i + r) * from_row + j) * factor : Vector<T>{};
      transpose_square<T>(square);
      for (int64_t c = 0; c < wide; ++c) store(to + (j + c) * to_row + i, square[c]);
    }
}

// Scores become weights that are still to be divided by their sum. `count` is a whole number of vectors.
template <class T>
struct RowSum {
  T largest;
  T sum;
};

template <class T>
TLS_INLINE RowSum<T> exponentials(T* scores, int64_t count) {
  constexpr int lanes = kLanes<T>;
  Vector<T> most = load(scores);
  for (int64_t i = lanes; i < count; i += lanes) most = larger(most, load(scores + i));
  const T largest = largest_of<T>(most);
  Vector<T> sum{};
  // Where nothing is seen, every weight is to be 0, and -infinity less itself is no number.
  const T base = largest == kHidden<T> ? T{0} : largest;
  for (int64_t i = 0; i < count; i += lanes) {
    const Vector<T> weight = exponential(load(scores + i) - base);
    store(scores + i, weight);
    sum += weight;
  }
  return {base, sum_of<T>(sum)};
}

// Scores become weights, given the logarithm of the sum of their exponentials.
template <class T>
TLS_INLINE void weights_again(T* scores, int64_t count, T log_sum) {
  constexpr int lanes = kLanes<T>;
  for (int64_t i = 0; i < count; i += lanes) store(scores + i, exponential(load(scores + i) - log_sum));
}

// Scores become the weights that they became before, given the largest of them and the factor that followed: no less exact than then,
// which the logarithm of a sum is where scores are large.
template <class T>
TLS_INLINE void weights_again(T* scores, int64_t count, T largest, T factor) {
  constexpr int lanes = kLanes<T>;
  for (int64_t i = 0; i < count; i += lanes) store(scores + i, exponential(load(scores + i) - largest) * factor);
}

// The gradient of softmax, in place of the gradient of its weights: factor * weight * (gradient - the mean of gradients by weight).
template <class T>
TLS_INLINE void softmax_backward(T* gradients, const T* weights, int64_t count, T factor = T{1}) {
  constexpr int lanes = kLanes<T>;
  Vector<T> sum{};
  for (int64_t i = 0; i < count; i += lanes) sum += load(gradients + i) * load(weights + i);
  const T mean = sum_of<T>(sum);
  for (int64_t i = 0; i < count; i += lanes) store(gradients + i, load(weights + i) * ((load(gradients + i) - mean) * factor));
}

}  // namespace
}  // namespace tls
