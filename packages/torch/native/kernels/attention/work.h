// How attention's work is divided among threads, and what several parts of it add to.
//
// The division depends on the sizes alone and never on the number of threads, so that sums have one order on all machines.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels.h"
#include "tensors.h"

namespace tls {

// Enough for the threads of most machines to be busy to the end.
constexpr int64_t kWorkItems = 16;

template <class T>
const AttentionKernels<T>& kernels() {
  if constexpr (std::is_same_v<T, float>)
    return instructions().float32;
  else
    return instructions().float64;
}

template <class T>
const LayerKernels<T>& layer_kernels() {
  if constexpr (std::is_same_v<T, float>)
    return instructions().layers32;
  else
    return instructions().layers64;
}

// The strips of one part of `parts`.
inline std::pair<int64_t, int64_t> strips_of(int64_t part, int64_t parts, int64_t strips) {
  return {strips * part / parts, strips * (part + 1) / parts};
}

// What several items add to, each in its own copy, so that no two threads meet and the sum has one order.
template <class T>
struct Partial {
  at::Tensor copies;  // (copies, ...)
  T* at(int64_t copy) const { return copies.defined() ? copies.data_ptr<T>() + copy * copies.stride(0) : nullptr; }
};

template <class T>
Partial<T> partial_like(const at::Tensor& whole, int64_t copies) {
  if (!whole.defined()) return {};
  std::vector<int64_t> sizes{copies};
  sizes.insert(sizes.end(), whole.sizes().begin(), whole.sizes().end());
  return {at::zeros(sizes, whole.options())};
}

inline at::Tensor sum_of_copies(const at::Tensor& copies) {
  if (!copies.defined()) return {};
  return copies.size(0) == 1 ? copies.select(0, 0) : copies.sum(0);
}

// Calls act(b, n, first strip, end strip, scratch) for all strips of all heads, on several threads.
template <class T, class Do>
void each_part(int64_t batch, int64_t heads, int64_t strips, int64_t scratch_size, Do act) {
  const int64_t lanes = batch * heads, parts = std::min(strips, (kWorkItems + lanes - 1) / lanes);
  at::parallel_for(0, lanes * parts, 1, [&](int64_t begin, int64_t end) {
    ScratchMemory<T> scratch(scratch_size);
    for (int64_t item = begin; item < end; ++item) {
      const auto [first, last] = strips_of(item % parts, parts, strips);
      act(item / parts / heads, item / parts % heads, first, last, scratch.data());
    }
  });
}

// Sequences that share a copy of what the whole batch adds to, and strips that are done one after another.
struct Division {
  int64_t groups, parts;
  int64_t copies() const { return groups * parts; }
};

// `apart` strips between two others that share no keys.
inline Division division_of(int64_t batch, int64_t heads, int64_t strips, int64_t apart, bool shared_by_batch) {
  const int64_t groups = shared_by_batch ? std::min<int64_t>(batch, 4) : batch;
  const int64_t wanted = (kWorkItems + groups * heads - 1) / (groups * heads);
  return {groups, std::max<int64_t>(1, std::min(strips / std::max<int64_t>(1, apart), wanted))};
}

// Calls act(group, part, n, scratch) for all groups of sequences, parts and heads, on several threads. Neighbouring parts share
// keys, so every second part is done first, and then the others.
template <class T, class Do>
void each_part_in_turns(int64_t heads, const Division& division, int64_t scratch_size, Do act) {
  const int64_t parts = division.parts;
  for (int64_t turn = 0; turn < (parts > 1 ? 2 : 1); ++turn) {
    const int64_t own = (parts - turn + 1) / 2;
    at::parallel_for(0, division.groups * heads * own, 1, [&](int64_t begin, int64_t end) {
      ScratchMemory<T> scratch(scratch_size);
      for (int64_t item = begin; item < end; ++item)
        act(item / own / heads, item % own * 2 + turn, item / own % heads, scratch.data());
    });
  }
}

}  // namespace tls
