// What the loops of attention work on.
//
// Shape letters: B batch, N heads, H head size, L tokens, C shared keys, S queries of a segment, Y keys that a segment sees.
#pragma once

#include <cstdint>

namespace tls {

// Rows of H contiguous numbers: that of token t of head n of sequence b is at data[b * batch + t * token + n * head].
template <class T>
struct Rows {
  T* data = nullptr;
  int64_t batch = 0, token = 0, head = 0;

  T* at(int64_t b, int64_t t, int64_t n) const { return data + b * batch + t * token + n * head; }
};

// Weights that are kept, chosen by place alone, so that the backward pass finds the same ones. 0: all.
struct Dropout {
  double probability = 0;
  uint64_t seed = 0;
};

// Tokens lie on a grid, row by row; a sequence is a grid of one row. The grid is cut into segments of window_rows by
// window_columns; a segment's queries see the segment and `reach` rows and columns on each side of it.
struct WindowShape {
  int64_t batch, heads, head_size, shared;
  int64_t rows, columns;
  int64_t window_rows, window_columns;
  int64_t reach_rows, reach_columns;
  // false: queries see the shared keys alone.
  bool has_window;
  // Tokens of a sequence that are done at once, about.
  int64_t block_tokens = 512;
};

// Forward: query to log_sums are read or written. Backward: the gradients too; result_gradient is read, that of query written, the
// others are added to; the result is made again where there is a place for it.
template <class T>
struct WindowArguments {
  WindowShape shape;
  double scale;
  Dropout dropout;
  Rows<const T> query, key, value, shared_key, shared_value;
  const T* bias;         // (N, S, Y) or null
  const bool* visible;   // (B, L) or null: others are no keys, and their results are 0
  Rows<T> result;
  T* log_sums;           // (B, N, L)
  Rows<const T> result_gradient;
  Rows<T> query_gradient, key_gradient, value_gradient, shared_key_gradient, shared_value_gradient;
  T* bias_gradient;      // (N, S, Y) or null
};

// Strips are what work is divided by: runs of segments of one head of one sequence that can be done one after another.
template <class T>
struct WindowKernels {
  int64_t (*strips)(const WindowShape&);
  // Strips between which another strip's keys end: two strips that far apart share none.
  int64_t (*apart)(const WindowShape&);
  // Tokens of a strip of a sequence, all but the last: no fewer than a segment, and so than its reach.
  int64_t (*strip_tokens)(const WindowShape&);
  // Numbers of scratch memory.
  int64_t (*scratch)(const WindowShape&, bool backward);
  void (*forward)(const WindowArguments<T>&, int64_t b, int64_t n, int64_t first_strip, int64_t end_strip, T* scratch);
  void (*backward)(const WindowArguments<T>&, int64_t b, int64_t n, int64_t first_strip, int64_t end_strip, T* scratch);
};

// The dynamic projection of B sequences of `tokens` to `slots` keys and values a head.
template <class T>
struct PoolArguments {
  int64_t heads, head_size, tokens, slots;
  Rows<const T> logits, key, value;  // logits: rows of R numbers
  const bool* visible;               // (B, L) or null
  // Backward only.
  const T* log_sums;  // (B, N, R)
  Rows<const T> pooled_key, pooled_value, pooled_key_gradient, pooled_value_gradient;
  Rows<T> logit_gradient, key_gradient, value_gradient;
  bool add = false;  // to what the gradients of keys and values hold
};

// What some of the tokens give: sums (R, H) by weights e^(logit - largest), and the sums of these, R each. Of no tokens: zeros, and a
// `largest` below all logits, yet finite, as -infinity less itself is no number.
template <class T>
struct PoolPart {
  T *largest, *sums, *keys, *values;
};

template <class T>
struct PoolKernels {
  int64_t (*scratch)(const PoolArguments<T>&, bool backward);
  // Adds to the part.
  void (*forward)(const PoolArguments<T>&, int64_t b, int64_t n, int64_t first, int64_t end, PoolPart<T> part, T* scratch);
  void (*backward)(const PoolArguments<T>&, int64_t b, int64_t n, int64_t first, int64_t end, T* scratch);
};

// Queries are T tokens of a stream, of which `before` window tokens are known besides. Chunks of chunk_size tokens lie at fixed places
// of the stream: `offset` tokens of the first query's chunk come before it, and `remembered` chunks before that one. A chunk has
// `rank` slots. A query sees the slots of the chunks before its own whose id, counted back from its own chunk, is less than
// `reach`.
struct CausalShape {
  int64_t batch, heads, head_size;
  int64_t queries, before, window;
  int64_t slots, ids;  // that there are keys and positions for
  int64_t chunk_size, rank, offset, remembered, reach;
};

// What made weights of a query's scores: the largest of them, and one over the sum of their exponentials less that.
template <class T>
struct Softmax {
  T largest, factor;
};

// Forward: query to softmaxes are read or written. Backward: the gradients too; those of query are written, result_gradient is
// read, the others are added to.
template <class T>
struct CausalArguments {
  CausalShape shape;
  double scale;
  Dropout dropout;
  Rows<const T> query, key, value;              // (B, T, N, H), (B, before + T, N, H) twice
  const T *window_bias, *position_bias;         // (N, H) or null: join the scaled query where it meets keys, and distances
  Rows<const T> positions;                      // (W, N, H) of distances W-1 to 0, or none
  Rows<const T> slot_key, slot_value;           // (B, C, N, H), the oldest first
  Rows<const T> slot_positions;                 // (P, N, H) of ids P-1 to 0, or none
  Rows<T> result;
  Softmax<T>* softmaxes;  // (B, N, T)
  Rows<const T> result_gradient;
  Rows<T> query_gradient, key_gradient, value_gradient, positions_gradient;
  Rows<T> slot_key_gradient, slot_value_gradient, slot_positions_gradient;
  T *window_bias_gradient, *position_bias_gradient;
};

// As of a window; strips are runs of queries.
template <class T>
struct CausalKernels {
  int64_t (*strips)(const CausalShape&);
  int64_t (*apart)(const CausalShape&);
  int64_t (*scratch)(const CausalShape&, bool backward);
  void (*forward)(const CausalArguments<T>&, int64_t b, int64_t n, int64_t first_strip, int64_t end_strip, T* scratch);
  void (*backward)(const CausalArguments<T>&, int64_t b, int64_t n, int64_t first_strip, int64_t end_strip, T* scratch);
};

template <class T>
struct AttentionKernels {
  WindowKernels<T> window;
  PoolKernels<T> pool;
  CausalKernels<T> causal;
};

}  // namespace tls
