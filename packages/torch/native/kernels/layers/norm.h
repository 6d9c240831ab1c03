// LayerNorm (Ba et al. 2016) of many short rows.
//
// Shape letters: M rows, D width.
#pragma once

#include "../rows.h"
#include "kernels.h"

namespace tls {
namespace {

// Rows whose gradients are added up before they join the others: float32 needs sums of sums.
constexpr int64_t kNormRows = 64;

// Sums step(vector at i, its place) over a row; `rest` has the same of one number.
template <class T, class Step, class Rest>
TLS_INLINE T sum_over(int64_t width, Step step, Rest rest) {
  Vector<T> sum{};
  int64_t i = 0;
  for (; i + kLanes<T> <= width; i += kLanes<T>) sum += step(i);
  T total = sum_of<T>(sum);
  for (; i < width; ++i) total += rest(i);
  return total;
}

template <class T>
TLS_INLINE void norm_row(const NormArguments<T>& a, int64_t m, T mean, T factor) {
  const int64_t D = a.width;
  const T* x = a.input + m * a.input_row;
  T* y = a.result + m * D;
  int64_t i = 0;
  for (; i + kLanes<T> <= D; i += kLanes<T>) {
    Vector<T> value = (load(x + i) - mean) * factor;
    if (a.weight != nullptr) value *= load(a.weight + i);
    if (a.bias != nullptr) value += load(a.bias + i);
    store(y + i, value);
  }
  for (; i < D; ++i)
    y[i] = (x[i] - mean) * factor * (a.weight == nullptr ? T{1} : a.weight[i]) + (a.bias == nullptr ? T{0} : a.bias[i]);
}

template <class T>
void norm_again(const NormArguments<T>& a, int64_t first, int64_t end) {
  for (int64_t m = first; m < end; ++m) norm_row(a, m, a.means[m], a.factors[m]);
}

template <class T>
void norm_forward(const NormArguments<T>& a, int64_t first, int64_t end) {
  const int64_t D = a.width;
  for (int64_t m = first; m < end; ++m) {
    const T* x = a.input + m * a.input_row;
    prefetch_row(x + kRowsAhead * a.input_row, D);
    const T mean = sum_over<T>(D, [&](int64_t i) { return load(x + i); }, [&](int64_t i) { return x[i]; }) / static_cast<T>(D);
    const T squares = sum_over<T>(
        D,
        [&](int64_t i) {
          const Vector<T> away = load(x + i) - mean;
          return away * away;
        },
        [&](int64_t i) { return (x[i] - mean) * (x[i] - mean); });
    const T factor = T{1} / std::sqrt(squares / static_cast<T>(D) + static_cast<T>(a.epsilon));
    norm_row(a, m, mean, factor);
    a.means[m] = mean;
    a.factors[m] = factor;
  }
}

template <class T>
void norm_input_gradient(const NormArguments<T>& a, int64_t m) {
  const int64_t D = a.width;
  const T *x = a.input + m * a.input_row, *g = a.result_gradient + m * a.gradient_row;
  T* to = a.input_gradient + m * D;
  const T mean = a.means[m], factor = a.factors[m];
  const auto weighted = [&](int64_t i) { return a.weight == nullptr ? load(g + i) : load(g + i) * load(a.weight + i); };
  const auto weighted_one = [&](int64_t i) { return a.weight == nullptr ? g[i] : g[i] * a.weight[i]; };
  prefetch_row(x + kRowsAhead * a.input_row, D);
  prefetch_row(g + kRowsAhead * a.gradient_row, D);
  const T sum = sum_over<T>(D, weighted, weighted_one) / static_cast<T>(D);
  const T along = sum_over<T>(
                      D, [&](int64_t i) { return weighted(i) * ((load(x + i) - mean) * factor); },
                      [&](int64_t i) { return weighted_one(i) * ((x[i] - mean) * factor); }) /
                  static_cast<T>(D);
  int64_t i = 0;
  for (; i + kLanes<T> <= D; i += kLanes<T>)
    store(to + i, (weighted(i) - sum - (load(x + i) - mean) * factor * along) * factor);
  for (; i < D; ++i) to[i] = (weighted_one(i) - sum - (x[i] - mean) * factor * along) * factor;
}

// What the rows [first, end), few and still in cache, add to the gradients of weight and bias.
template <class T>
void norm_parameter_gradients(const NormArguments<T>& a, int64_t first, int64_t end, T* weight_gradient, T* bias_gradient) {
  const int64_t D = a.width;
  for (int64_t i = 0; i < D; i += kLanes<T>) {
    const int64_t count = D - i < kLanes<T> ? D - i : kLanes<T>;
    Vector<T> weights{}, biases{};
    for (int64_t m = first; m < end; ++m) {
      const Vector<T> given = load_some(a.result_gradient + m * a.gradient_row + i, count);
      weights += given * ((load_some(a.input + m * a.input_row + i, count) - a.means[m]) * a.factors[m]);
      biases += given;
    }
    if (weight_gradient != nullptr)
      store_some(weight_gradient + i, load_some(weight_gradient + i, count) + weights, count);
    if (bias_gradient != nullptr) store_some(bias_gradient + i, load_some(bias_gradient + i, count) + biases, count);
  }
}

template <class T>
NormKernels<T> norm_kernels() {
  NormKernels<T> kernels;
  kernels.forward = norm_forward<T>;
  kernels.again = norm_again<T>;
  kernels.backward = [](const NormArguments<T>& a, int64_t first, int64_t end, T* weight_gradient, T* bias_gradient) {
    for (int64_t from = first; from < end; from += kNormRows) {
      const int64_t to = end - from < kNormRows ? end : from + kNormRows;
      norm_parameter_gradients(a, from, to, weight_gradient, bias_gradient);
      for (int64_t m = from; m < to; ++m) norm_input_gradient(a, m);
    }
  };
  return kernels;
}

}  // namespace
}  // namespace tls
