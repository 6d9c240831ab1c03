// Parts of a sequence that were pooled apart, and how they come together.
//
// Shape letters: B batch, N heads, H head size, R slots.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels.h"

namespace tls {
namespace {

// Numbers of one part of one head, and these numbers as a part.
inline int64_t pool_part_size(int64_t slots, int64_t head_size) { return slots * (2 + 2 * head_size); }

// Of no tokens yet.
template <class T>
void clear_pool_part(T* at, int64_t slots, int64_t head_size) {
  std::fill(at, at + slots, std::numeric_limits<T>::lowest() / 2);
  std::fill(at + slots, at + pool_part_size(slots, head_size), T{0});
}

template <class T>
PoolPart<T> pool_part_at(T* at, int64_t slots, int64_t head_size) {
  return {at, at + slots, at + 2 * slots, at + 2 * slots + slots * head_size};
}

// Parts of a sequence were summed each under its own largest logit: here they come under one. Where no token is visible, 0.
template <class T>
void join_pool_parts(const PoolArguments<T>& a, const T* parts, int64_t count, int64_t b, int64_t n, Rows<T> keys,
                     Rows<T> values, T* log_sums) {
  const int64_t R = a.slots, H = a.head_size, stride = pool_part_size(R, H);
  const T* all = parts + (b * a.heads + n) * count * stride;
  for (int64_t r = 0; r < R; ++r) {
    T largest = -std::numeric_limits<T>::infinity(), sum = 0;
    for (int64_t p = 0; p < count; ++p)
      if (all[p * stride + R + r] > 0) largest = std::max(largest, all[p * stride + r]);
    T *key = keys.at(b, r, n), *value = values.at(b, r, n);
    std::fill(key, key + H, T{0});
    std::fill(value, value + H, T{0});
    for (int64_t p = 0; p < count; ++p) {
      const T* part = all + p * stride;
      if (!(part[R + r] > 0) && part[R + r] == part[R + r]) continue;
      const T factor = std::exp(part[r] - largest);
      sum += part[R + r] * factor;
      const T *part_keys = part + 2 * R + r * H, *part_values = part_keys + R * H;
      for (int64_t h = 0; h < H; ++h) {
        key[h] += part_keys[h] * factor;
        value[h] += part_values[h] * factor;
      }
    }
    const T scale = sum == 0 ? T{0} : 1 / sum;
    for (int64_t h = 0; h < H; ++h) {
      key[h] *= scale;
      value[h] *= scale;
    }
    log_sums[(b * a.heads + n) * R + r] = sum == 0 ? T{0} : largest + std::log(sum);
  }
}

// The same of all heads of B sequences, (B, N, count) parts.
template <class T>
void join_pool_parts(const PoolArguments<T>& a, const T* parts, int64_t batch, int64_t count, Rows<T> keys, Rows<T> values,
                     T* log_sums) {
  at::parallel_for(0, batch * a.heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t bn = begin; bn < end; ++bn)
      join_pool_parts(a, parts, count, bn / a.heads, bn % a.heads, keys, values, log_sums);
  });
}

}  // namespace
}  // namespace tls
