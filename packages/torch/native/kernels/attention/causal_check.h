// What tls::causal_attention expects of its arguments, on any device.
//
// Shape letters: B batch, T queries, M window tokens before the first query, N heads, H head size, W window, C slots (compressed
// keys, R for each chunk), P ids of slots.
#pragma once

#include <algorithm>

#include "../tensors.h"

namespace tls {
namespace {

using at::Tensor;

// Of any number of chunks: products of two of them are numbers still.
constexpr int64_t kMostChunks = int64_t{1} << 31;

// What attention is computed from, in the order of the schema.
struct Inputs {
  Tensor query, key, value, window_bias, position_bias, window_positions, chunk_key, chunk_value, chunk_positions;
};

// Rows that the kernels can read.
inline Inputs readable(const Tensor& query, const Tensor& key, const Tensor& value, const OptionalTensor& window_bias,
                const OptionalTensor& position_bias, const OptionalTensor& window_positions, const OptionalTensor& chunk_key,
                const OptionalTensor& chunk_value, const OptionalTensor& chunk_positions) {
  return {with_rows(query),           with_rows(key),       with_rows(value),
          whole(window_bias),         whole(position_bias), with_rows(window_positions),
          with_rows(chunk_key), with_rows(chunk_value), with_rows(chunk_positions)};
}

inline void check_optional(const char* name, const Tensor& tensor, const Tensor& query, at::IntArrayRef sizes) {
  if (tensor.defined()) check_like(name, tensor, query, sizes);
}

inline CausalShape checked_shape(const Inputs& in, int64_t window, at::IntArrayRef chunks, double dropout) {
  const Tensor& query = in.query;
  TORCH_CHECK(query.dim() == 4 && in.key.dim() == 4, "causal_attention: expected a query (B, T, N, H) and a key (B, M+T, N, H), ",
              "received ", query.sizes(), " and ", in.key.sizes());
  const bool counts = std::all_of(chunks.begin(), chunks.end(), [](int64_t n) { return n >= 0 && n <= kMostChunks; });
  TORCH_CHECK(counts && chunks.size() == 5 && chunks[2] < chunks[0],
              "causal_attention: expected chunks [size, rank, offset below the size, remembered, reach], received ", chunks);
  TORCH_CHECK(window >= 1, "causal_attention: expected a window from 1, received ", window);
  TORCH_CHECK(dropout >= 0 && dropout < 1, "causal_attention: expected a dropout probability from 0 to 1, received ", dropout);
  TORCH_CHECK(in.chunk_key.defined() == in.chunk_value.defined() && (in.chunk_key.defined() || !in.chunk_positions.defined()),
              "causal_attention: expected chunk keys and chunk values together, and chunk positions only with them");
  const int64_t B = query.size(0), T = query.size(1), N = query.size(2), H = query.size(3);
  TORCH_CHECK(in.key.size(1) >= T, "causal_attention: expected a key for each of the ", T, " queries, received ", in.key.size(1));
  CausalShape shape{};
  shape.batch = B;
  shape.heads = N;
  shape.head_size = H;
  shape.queries = T;
  shape.before = in.key.size(1) - T;
  shape.window = std::min(window, in.key.size(1));  // further away there are no keys
  shape.slots = in.chunk_key.defined() ? in.chunk_key.size(1) : 0;
  shape.ids = in.chunk_positions.defined() ? in.chunk_positions.size(0) : 0;
  shape.chunk_size = chunks[0];
  shape.rank = chunks[1];
  shape.offset = chunks[2];
  shape.remembered = chunks[3];
  shape.reach = chunks[4];
  check_like("window_key", in.key, query, {B, shape.before + T, N, H});
  check_like("window_value", in.value, query, in.key.sizes());
  check_optional("window_bias", in.window_bias, query, {N, H});
  check_optional("position_bias", in.position_bias, query, {N, H});
  check_optional("window_positions", in.window_positions, query, {window, N, H});
  check_optional("chunk_key", in.chunk_key, query, {B, shape.slots, N, H});
  check_optional("chunk_value", in.chunk_value, query, {B, shape.slots, N, H});
  check_optional("chunk_positions", in.chunk_positions, query, {shape.ids, N, H});
  if (in.chunk_key.defined() && T > 0) {
    const int64_t seen = (shape.remembered + (shape.offset + T - 1) / shape.chunk_size) * shape.rank;
    TORCH_CHECK(shape.slots >= seen || shape.reach == 0, "causal_attention: expected at least ", seen,
                " chunk keys, received ", shape.slots);
    TORCH_CHECK(!in.chunk_positions.defined() || shape.ids >= std::min(shape.reach, seen),
                "causal_attention: expected at least ", std::min(shape.reach, seen), " chunk positions, received ", shape.ids);
  }
  return shape;
}

// Distances that there are keys at: the last ones of (W, N, H).
inline Tensor reached(const Tensor& positions, const CausalShape& shape) {
  if (!positions.defined()) return {};
  return positions.narrow(0, positions.size(0) - shape.window, shape.window);
}

}  // namespace
}  // namespace tls
