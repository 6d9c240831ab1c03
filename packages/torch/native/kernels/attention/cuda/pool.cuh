// The dynamic projection: R means of the keys and of the values of all tokens, by weights that are softmaxes over the tokens. Forward a
// block's rows are slots and it goes through a part of the tokens, then parts are joined; backward its rows are tokens and it goes
// through the slots.
//
// Shape letters: B batch, L tokens, N heads, H head size, R slots.
#pragma once

#include "storage.cuh"

namespace tls::gpu {

constexpr int kPoolBlocks = 512;
// Tokens of a part at least.
constexpr int kLeastPart = 256;

__host__ __device__ inline int pool_parts(const PoolProblem& p) {
  const int64_t blocks = int64_t{quotient_up(p.slots, kRows)} * p.batch * p.heads, wanted = (kPoolBlocks + blocks - 1) / blocks;
  const int longest = most(1, p.tokens / kLeastPart);
  return wanted < longest ? static_cast<int>(wanted) : longest;
}

// What a part of the tokens gives a slot: its largest logit, the sum of the weights e^(logit - largest), and H sums of keys and of values.
__host__ __device__ inline int64_t pool_row(const PoolProblem& p) { return 2 + 2 * int64_t{p.head_size}; }
__host__ __device__ inline int64_t pool_part_row(const PoolProblem& p, int part, int64_t b, int64_t n, int64_t r) {
  return (((part * int64_t{p.batch} + b) * p.heads + n) * p.slots + r) * pool_row(p);
}

__host__ __device__ inline StorageRows pool_rows(int rows, int columns) {
  StorageRows storage;
  storage.keys = storage.values = rows;
  storage.queries = storage.gradients = columns;
  return storage;
}

__device__ inline bool is_visible(const PoolProblem& p, int64_t b, int token) {
  return p.visible == nullptr || p.visible[b * p.tokens + token];
}

template <class T, int kComponents>
__global__ void __launch_bounds__(kThreads) pool_forward_kernel(const __grid_constant__ PoolProblem p) {
  constexpr int kTokens = kColumnTile<T>;
  const Storage<T> storage(shared_memory(), pool_rows(kTokens, 0), p.head_size);
  const int parts = pool_parts(p), part = blockIdx.x % parts, slot = blockIdx.x / parts * kRows + warp_of_thread() * kWarpRows;
  const int b = blockIdx.z % p.batch, n = blockIdx.y, component = blockIdx.z / p.batch * kComponents;
  const int begin = static_cast<int>(int64_t{p.tokens} * part / parts), end = static_cast<int>(int64_t{p.tokens} * (part + 1) / parts);
  const HeadOf<const T> logits(p.logits, b, n);
  float weights[kTokens / 8][4], keys[kComponents / 8][4], values[kComponents / 8][4];
  clear(keys);
  clear(values);
  float largest[2] = {-INFINITY, -INFINITY}, sums[2] = {0, 0};
  for (int first = begin; first < end; first += kTokens) {
    sync_block();
    const auto token_of = [&](int row) { return first + row < end ? first + row : -1; };
    begin_to_load(storage.keys, kTokens, HeadOf<T>(p.key, b, n), p.head_size, token_of);
    begin_to_load(storage.values, kTokens, HeadOf<T>(p.value, b, n), p.head_size, token_of);
    commit_copies();
    float now[2] = {largest[0], largest[1]};
    each_result(weights, [&](int half, int row, int column, float& x) {
      const int token = first + column;
      const bool present = token < end && slot + row < p.slots && is_visible(p, b, token);
      x = present ? to_float(logits.at(token)[slot + row]) : -INFINITY;
      now[half] = fmaxf(now[half], x);
    });
    for (int half = 0; half < 2; ++half) {
      now[half] = largest_of_row(now[half]);
      const float shrinks = now[half] == -INFINITY ? 1 : exponential(largest[half] - now[half], T{});
      largest[half] = now[half];
      if (now[half] == -INFINITY) now[half] = 0;
      sums[half] *= shrinks;
      for (int i = 0; i < kComponents / 8; ++i)
        for (int j = 0; j < 2; ++j) {
          keys[i][2 * half + j] *= shrinks;
          values[i][2 * half + j] *= shrinks;
        }
    }
    each_result(weights, [&](int half, int, int, float& x) {
      x = exponential(x - now[half], T{});
      sums[half] += x;
    });
    wait_for_copies<0>();
    sync_block();
    add_results_by_columns(keys, weights, storage.keys, component);
    add_results_by_columns(values, weights, storage.values, component);
  }
  for (int half = 0; half < 2; ++half) sums[half] = sum_of_row(sums[half]);
  each_result(keys, values, [&](int half, int row, int column, float key, float value) {
    if (slot + row >= p.slots) return;
    float* const to = p.workspace + pool_part_row(p, part, b, n, slot + row);
    if (component + column == 0) {
      to[0] = largest[half];
      to[1] = sums[half];
    }
    if (component + column < p.head_size) {
      to[2 + component + column] = key;
      to[2 + p.head_size + component + column] = value;
    }
  });
}

// One component of one slot: its parts under one largest logit. Where no token is visible, 0.
template <class T>
__global__ void __launch_bounds__(kThreads) pool_join_kernel(const __grid_constant__ PoolProblem p) {
  const int64_t all = int64_t{p.batch} * p.slots * p.heads * p.head_size, i = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= all) return;
  const int64_t h = i % p.head_size, n = i / p.head_size % p.heads, r = i / p.head_size / p.heads % p.slots;
  const int64_t b = i / p.head_size / p.heads / p.slots;
  const int parts = pool_parts(p);
  float largest = -INFINITY;
  for (int part = 0; part < parts; ++part) largest = fmaxf(largest, p.workspace[pool_part_row(p, part, b, n, r)]);
  float sum = 0, key = 0, value = 0;
  for (int part = 0; part < parts; ++part) {
    const float* from = p.workspace + pool_part_row(p, part, b, n, r);
    const float factor = largest == -INFINITY ? 0 : exponential(from[0] - largest, T{});
    sum += from[1] * factor;
    key += from[2 + h] * factor;
    value += from[2 + p.head_size + h] * factor;
  }
  const bool nothing = largest == -INFINITY && sum == 0;
  HeadOf<T>(p.pooled_key, b, n).at(r)[h] = to_type<T>(nothing ? 0 : key / sum);
  HeadOf<T>(p.pooled_value, b, n).at(r)[h] = to_type<T>(nothing ? 0 : value / sum);
  if (h == 0) p.log_sums[(b * p.heads + n) * p.slots + r] = nothing ? 0 : largest + logf(sum);
}

// What the gradients of a slot's weights are measured from, (B, N, R).
template <class T>
__global__ void __launch_bounds__(kThreads) pool_deltas_kernel(const __grid_constant__ PoolProblem p) {
  const int64_t all = int64_t{p.batch} * p.heads * p.slots, i = int64_t{blockIdx.x} * kWarps + warp_of_thread();
  if (i >= all) return;
  const int64_t r = i % p.slots, n = i / p.slots % p.heads, b = i / p.slots / p.heads;
  const auto at = [&](const HeadRows& rows, int h) { return to_float(HeadOf<T>(rows, b, n).at(r)[h]); };
  float sum = 0;
  for (int h = lane_of_thread(); h < p.head_size; h += kWarpThreads)
    sum += at(p.pooled_key, h) * at(p.pooled_key_gradient, h) + at(p.pooled_value, h) * at(p.pooled_value_gradient, h);
  for (int mask = 1; mask < kWarpThreads; mask *= 2) sum += of_lane_xor(sum, mask);
  if (lane_of_thread() == 0) p.workspace[i] = sum;
}

template <class T, int kComponents>
__global__ void __launch_bounds__(kThreads) pool_backward_kernel(const __grid_constant__ PoolProblem p) {
  constexpr int kSlots = kColumnTile<T>;
  const Storage<T> storage(shared_memory(), pool_rows(kRows, kSlots), p.head_size);
  const int first_token = blockIdx.x * kRows, first_row = warp_of_thread() * kWarpRows;
  const int b = blockIdx.z % p.batch, n = blockIdx.y, component = blockIdx.z / p.batch * kComponents;
  const int depth = padded_head(p.head_size);
  const auto token_of = [&](int row) { return first_token + row < p.tokens ? first_token + row : -1; };
  begin_to_load(storage.keys, kRows, HeadOf<T>(p.key, b, n), p.head_size, token_of);
  begin_to_load(storage.values, kRows, HeadOf<T>(p.value, b, n), p.head_size, token_of);
  float weights[kSlots / 8][4], gradients[kSlots / 8][4], keys[kComponents / 8][4], values[kComponents / 8][4];
  clear(keys);
  clear(values);
  for (int first = 0; first < p.slots; first += kSlots) {
    sync_block();
    const auto slot_of = [&](int row) { return first + row < p.slots ? first + row : -1; };
    begin_to_load(storage.queries, kSlots, HeadOf<T>(p.pooled_key_gradient, b, n), p.head_size, slot_of);
    begin_to_load(storage.gradients, kSlots, HeadOf<T>(p.pooled_value_gradient, b, n), p.head_size, slot_of);
    commit_copies();
    wait_for_copies<0>();
    sync_block();
    clear(gradients);
    add_rows_by_rows(gradients, storage.keys, first_row, storage.queries, 0, depth);
    add_rows_by_rows(gradients, storage.values, first_row, storage.gradients, 0, depth);
    each_result(weights, gradients, [&](int, int row, int column, float& weight, float gradient) {
      const int token = first_token + first_row + row, slot = first + column;
      weight = 0;
      if (token >= p.tokens || slot >= p.slots) return;
      const int64_t at = (int64_t{b} * p.heads + n) * p.slots + slot;
      if (is_visible(p, b, token))
        weight = exponential(to_float(HeadOf<T>(p.logits, b, n).at(token)[slot]) - p.log_sums[at], T{});
      if (component == 0)
        HeadOf<T>(p.logit_gradient, b, n).at(token)[slot] = to_type<T>(weight == 0 ? 0 : weight * (gradient - p.workspace[at]));
    });
    add_results_by_columns(keys, weights, storage.queries, component);
    add_results_by_columns(values, weights, storage.gradients, component);
  }
  each_result(keys, values, [&](int, int row, int column, float key, float value) {
    const int token = first_token + first_row + row, h = component + column;
    if (token >= p.tokens || h >= p.head_size) return;
    HeadOf<T>(p.key_gradient, b, n).at(token)[h] = to_type<T>(key);
    HeadOf<T>(p.value_gradient, b, n).at(token)[h] = to_type<T>(value);
  });
}

}  // namespace tls::gpu
