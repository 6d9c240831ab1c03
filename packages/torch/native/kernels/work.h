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

#include "instructions.h"
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

// What one thread does at a time: strips [first, end) of heads [first_head, end_head).
struct Item {
  int64_t first, end, first_head, end_head;
};

// Heads lie side by side in memory: a strip of one after the other is done while it is near.
template <class Do>
void strip_by_strip(const Item& item, Do act) {
  for (int64_t strip = item.first; strip < item.end; ++strip)
    for (int64_t n = item.first_head; n < item.end_head; ++n) act(n, strip, strip + 1);
}

template <class Do>
void head_by_head(const Item& item, Do act) {
  for (int64_t n = item.first_head; n < item.end_head; ++n) act(n, item.first, item.end);
}

// Calls act(b, item, scratch) for all strips of all heads, on several threads. Few items of many heads, where there are strips enough.
template <class T, class Do>
void each_part(int64_t batch, int64_t heads, int64_t strips, int64_t scratch_size, Do act) {
  const int64_t parts = std::min(strips, (kWorkItems + batch - 1) / batch);
  const int64_t groups = std::min(heads, (kWorkItems + batch * parts - 1) / (batch * parts));
  at::parallel_for(0, batch * parts * groups, 1, [&](int64_t begin, int64_t end) {
    ScratchMemory<T> scratch(scratch_size);
    for (int64_t i = begin; i < end; ++i) {
      const auto [first, last] = strips_of(i / groups % parts, parts, strips);
      const auto [first_head, end_head] = strips_of(i % groups, groups, heads);
      act(i / groups / parts, Item{first, last, first_head, end_head}, scratch.data());
    }
  });
}

// Sequences that share a copy of what the whole batch adds to, strips that are done one after another, and heads.
struct Division {
  int64_t groups, parts, head_groups;
  int64_t copies() const { return groups * parts; }
};

// `apart` strips between two others that share no keys. Few heads together, where there are strips enough.
inline Division division_of(int64_t batch, int64_t heads, int64_t strips, int64_t apart, bool shared_by_batch) {
  const auto share = [](int64_t items) { return (kWorkItems + items - 1) / items; };
  const int64_t groups = shared_by_batch ? std::min<int64_t>(batch, 4) : batch;
  // Twice as many, as every second part waits.
  const int64_t parts = std::max<int64_t>(1, std::min(strips / std::max<int64_t>(1, apart), 2 * share(groups)));
  return {groups, parts, std::min(heads, share(groups * std::max<int64_t>(1, parts / 2)))};
}

// Calls act(group, part, item, scratch) for all groups of sequences, parts and heads, on several threads. Neighbouring parts share keys,
// so every second part is done first, and then the others.
template <class T, class Do>
void each_part_in_turns(int64_t heads, int64_t strips, const Division& division, int64_t scratch_size, Do act) {
  const int64_t parts = division.parts, head_groups = division.head_groups;
  for (int64_t turn = 0; turn < (parts > 1 ? 2 : 1); ++turn) {
    const int64_t own = (parts - turn + 1) / 2;
    at::parallel_for(0, division.groups * own * head_groups, 1, [&](int64_t begin, int64_t end) {
      ScratchMemory<T> scratch(scratch_size);
      for (int64_t i = begin; i < end; ++i) {
        const int64_t part = i / head_groups % own * 2 + turn;
        const auto [first, last] = strips_of(part, parts, strips);
        const auto [first_head, end_head] = strips_of(i % head_groups, head_groups, heads);
        act(i / head_groups / own, part, Item{first, last, first_head, end_head}, scratch.data());
      }
    });
  }
}

}  // namespace tls
