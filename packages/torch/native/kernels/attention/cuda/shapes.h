// Problems of the CUDA kernels from the shapes that the operators check.
#pragma once

#include <algorithm>

#include "../dropout_hash.h"
#include "../kernels.h"
#include "problem.h"

namespace tls::gpu {

// Rows of `head_size` numbers of `bytes` each; strides in numbers.
inline HeadRows head_rows(const void* data, int64_t batch, int64_t token, int64_t head, int64_t head_size, int64_t bytes) {
  const auto whole = [&](int64_t numbers) { return numbers * bytes % 16 == 0; };
  const bool aligned = whole(batch) && whole(token) && whole(head) && whole(head_size) && reinterpret_cast<uintptr_t>(data) % 16 == 0;
  return {const_cast<void*>(data), batch, token, head, aligned};
}

inline void set_dropout(Problem& p, Dropout dropout) {
  p.seed = dropout.seed;
  p.dropped_below = dropout_threshold(dropout.probability);
  p.kept_factor = static_cast<float>(1 / (1 - dropout.probability));
}

// Without a window all queries are one row of segments of one.
inline Problem window_problem(const WindowShape& s, double scale, Dropout dropout) {
  Problem p{};
  const auto number = [](int64_t x) { return static_cast<int>(x); };
  p.batch = number(s.batch);
  p.heads = number(s.heads);
  p.head_size = number(s.head_size);
  p.scale = static_cast<float>(scale);
  set_dropout(p, dropout);
  p.rows = s.has_window ? number(s.rows) : 1;
  p.columns = number(s.rows * s.columns) / std::max(1, p.rows);
  p.window_rows = s.has_window ? number(s.window_rows) : 1;
  p.window_columns = s.has_window ? number(s.window_columns) : 1;
  p.segment_rows = (p.rows + p.window_rows - 1) / p.window_rows;
  p.segment_columns = (p.columns + p.window_columns - 1) / p.window_columns;
  p.grid_rows = p.rows;
  p.grid_columns = p.columns;
  if (s.has_window) {
    p.key_rows = number(s.window_rows + 2 * s.reach_rows);
    p.key_columns = number(s.window_columns + 2 * s.reach_columns);
    p.first_row = number(-s.reach_rows);
    p.first_column = number(-s.reach_columns);
  }
  p.shared = p.first_window_place = number(s.shared);
  return p;
}

inline Problem causal_problem(const CausalShape& s, double scale, Dropout dropout) {
  Problem p{};
  const auto number = [](int64_t x) { return static_cast<int>(x); };
  p.batch = number(s.batch);
  p.heads = number(s.heads);
  p.head_size = number(s.head_size);
  p.scale = static_cast<float>(scale);
  set_dropout(p, dropout);
  p.rows = p.window_rows = p.window_columns = p.segment_rows = 1;
  p.columns = p.segment_columns = number(s.queries);
  p.grid_rows = p.key_rows = 1;
  p.grid_columns = number(s.before + s.queries);
  p.key_columns = number(s.window);
  p.first_column = number(s.before - (s.window - 1));
  p.first_window_place = number(s.slots);
  p.places[kWindow] = number(s.window);
  p.places[kShared] = number(s.ids);
  p.chunk_size = s.chunk_size;
  p.rank = s.rank;
  p.offset = s.offset;
  p.remembered = s.remembered;
  p.reach = std::min(s.reach, s.slots);
  p.shared = p.reach > 0 && s.rank > 0 ? number(s.slots) : 0;
  return p;
}

}  // namespace tls::gpu
