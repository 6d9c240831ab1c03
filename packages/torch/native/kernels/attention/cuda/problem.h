// Attention as the CUDA kernels see it, one form for `tls::window_attention` and `tls::causal_attention`, and the dynamic projection. No
// CUDA and no libtorch in here: what calls the kernels includes this.
//
// There are two kinds of keys under one softmax. *Window keys* lie on a grid (a sequence is a grid of one row) that is cut as that of
// the queries is: a query of the segment (i, j) sees key_rows x key_columns of them, from (i * window_rows + first_row, j *
// window_columns + first_column) on. Of causal attention a segment is one query, and its window ends with itself. *Shared keys*
// are seen by all queries, or, of causal attention, are chunks, of which a query sees the `reach` last before its own.
//
// A key's *place* is where it lies among those that the query sees: y of a bias (N, S, Y), the row of a table of positions.
//
// Shape letters: B batch, L queries, N heads, H head size, C shared keys, S queries of a segment, Y = key_rows * key_columns.
#pragma once

#include <cstdint>

namespace tls::gpu {

enum class Type { float32, bfloat16, float16 };

// Rows of H contiguous numbers, of token t of head n of sequence b; strides in numbers.
struct HeadRows {
  void* data = nullptr;
  int64_t batch = 0, token = 0, head = 0;
  // Rows begin and end at multiples of 16 bytes.
  bool aligned = false;
};

// Kinds of keys.
constexpr int kWindow = 0, kShared = 1;

struct Problem {
  Type type;
  int batch, heads, head_size;
  float scale;
  // Queries, and how they are cut.
  int rows, columns;
  int window_rows, window_columns;
  int segment_rows, segment_columns;
  // Window keys, none where key_rows is 0.
  int grid_rows, grid_columns;
  int key_rows, key_columns, first_row, first_column;
  // Shared keys. A chunk_size of 0: no chunks, all see all.
  int shared;
  int64_t chunk_size, rank, offset, remembered, reach;
  // Weights whose hash is below the threshold are dropped, the others multiplied. Of all keys of a query the shared ones come first,
  // and that many places on those of the window.
  int first_window_place;
  uint64_t seed;
  uint32_t dropped_below;
  float kept_factor;

  HeadRows query, key[2], value[2];
  // (N, H) or null: join the scaled query where it meets window keys, and their positions.
  const void *query_bias, *position_bias;
  // (places, N, H), the places of each kind, or none.
  HeadRows positions[2];
  int places[2];
  const void* bias;     // (N, S, Y) or null: joins the scores of window keys
  const bool* visible;  // (B, L) or null: others are no keys and no queries
  HeadRows result;
  // Of each query (B, N, L): the logarithm of its sum; or its largest score and one over the sum. One of the two.
  float* log_sums;
  float* softmaxes;

  // Backward.
  HeadRows result_gradient, query_gradient;
  HeadRows key_gradient[2], value_gradient[2];                        // of kShared: contiguous
  void *query_bias_gradient, *position_bias_gradient, *bias_gradient;  // null where there is none
  void* positions_gradient[2];                                        // contiguous
  float* workspace;                                                   // of workspace_of(problem) numbers
};

// The dynamic projection: means of L tokens by R weights, each a softmax over the tokens.
struct PoolProblem {
  Type type;
  int batch, heads, head_size, tokens, slots;
  HeadRows logits, key, value;          // logits: rows of R numbers
  const bool* visible;                  // (B, L) or null
  HeadRows pooled_key, pooled_value;    // (B, R, N, H)
  float* log_sums;                      // (B, N, R), -infinity where nothing is visible
  // Backward.
  HeadRows pooled_key_gradient, pooled_value_gradient, logit_gradient, key_gradient, value_gradient;
  float* workspace;  // of pool_workspace_of(problem) numbers
};

// cudaStream_t
using StreamHandle = void*;

// Bytes of shared memory that the kernels ask a block for, at most, with heads of that size.
int64_t shared_bytes_of(Type type, int head_size);

int64_t workspace_of(const Problem& problem);
void attention_forward(const Problem& problem, StreamHandle stream);
void attention_backward(const Problem& problem, StreamHandle stream);

int64_t pool_workspace_of(const PoolProblem& problem);
void pool_forward(const PoolProblem& problem, StreamHandle stream);
void pool_backward(const PoolProblem& problem, StreamHandle stream);

}  // namespace tls::gpu
