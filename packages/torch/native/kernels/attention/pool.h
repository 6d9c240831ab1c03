// The dynamic projection: a sequence is compressed to R keys and values per head, each a mean of all tokens by weights that are
// a softmax over the tokens (Zhu et al. 2021, equation 3). One pass over the tokens each way.
//
// Shape letters: H head size, R slots, L tokens; a capital with p behind it is the next whole number of vectors.
#pragma once

#include "kernels.h"
#include "../product.h"
#include "../rows.h"
#include "../scratch.h"

namespace tls {
namespace {

// Tokens whose weights exist at once.
constexpr int64_t kPooledTokens = 64;

template <class T>
class PoolWork {
 public:
  PoolWork(const PoolArguments<T>& arguments, bool backward, T* scratch)
      : a_(arguments), H_(a_.head_size), R_(a_.slots), Hp_(whole_vectors<T>(H_)), Rp_(whole_vectors<T>(R_)) {
    Scratch<T> memory(scratch);
    weights_ = memory.take(kPooledTokens * Rp_);
    keys_ = memory.take(kPooledTokens * Hp_);
    values_ = memory.take(kPooledTokens * Hp_);
    pooled_keys_ = memory.take(R_ * Hp_);
    pooled_values_ = memory.take(R_ * Hp_);
    largest_ = memory.take(Rp_);
    sums_ = memory.take(Rp_);
    if (backward) {
      weight_gradients_ = memory.take(kPooledTokens * Rp_);
      key_gradients_across_ = memory.take(H_ * Rp_);
      value_gradients_across_ = memory.take(H_ * Rp_);
    }
    taken_ = memory.taken();
  }

  int64_t taken() const { return taken_; }

  // Adds what the tokens [first, end) give: sums of keys and values by weights e^(logit - largest), of which `sums` are the sums.
  void forward(int64_t b, int64_t n, int64_t first, int64_t end, PoolPart<T> part) {
    for (int64_t r = 0; r < R_; ++r) {
      copy_padded(pooled_keys_ + r * Hp_, part.keys + r * H_, H_, Hp_);
      copy_padded(pooled_values_ + r * Hp_, part.values + r * H_, H_, Hp_);
    }
    copy_padded(largest_, part.largest, R_, Rp_);
    copy_padded(sums_, part.sums, R_, Rp_);
    for (int64_t token = first; token < end; token += kPooledTokens) {
      const int64_t count = end - token < kPooledTokens ? end - token : kPooledTokens;
      read_logits(b, n, token, count);
      raise_largest(count);
      for (int64_t i = 0; i < count; ++i)
        for (int64_t r = 0; r < Rp_; r += kLanes<T>) {
          const Vector<T> weight = exponential(load(weights_ + i * Rp_ + r) - load(largest_ + r));
          store(weights_ + i * Rp_ + r, weight);
          store(sums_ + r, load(sums_ + r) + weight);
        }
      const Matrix<T> keys = rows_of_tokens(a_.key, keys_, b, n, token, count), values = rows_of_tokens(a_.value, values_, b, n, token, count);
      product<true>(R_, Hp_, count, Matrix<T>{weights_, 1, Rp_}, keys.data, keys.row, pooled_keys_, Hp_);
      product<true>(R_, Hp_, count, Matrix<T>{weights_, 1, Rp_}, values.data, values.row, pooled_values_, Hp_);
    }
    for (int64_t r = 0; r < R_; ++r) {
      part.largest[r] = largest_[r];
      part.sums[r] = sums_[r];
      copy(part.keys + r * H_, pooled_keys_ + r * Hp_, H_);
      copy(part.values + r * H_, pooled_values_ + r * Hp_, H_);
    }
  }

  // Gradients of logits, keys and values of the tokens [first, end).
  void backward(int64_t b, int64_t n, int64_t first, int64_t end) {
    read_gradients(b, n);
    for (int64_t token = first; token < end; token += kPooledTokens) {
      const int64_t count = end - token < kPooledTokens ? end - token : kPooledTokens;
      read_logits(b, n, token, count);
      for (int64_t i = 0; i < count; ++i)
        for (int64_t r = 0; r < Rp_; r += kLanes<T>)
          store(weights_ + i * Rp_ + r, exponential(load(weights_ + i * Rp_ + r) - load(largest_ + r)));
      const Matrix<T> keys = rows_of_tokens(a_.key, keys_, b, n, token, count), values = rows_of_tokens(a_.value, values_, b, n, token, count);
      product<false>(count, Rp_, H_, keys, key_gradients_across_, Rp_, weight_gradients_, Rp_);
      product<true>(count, Rp_, H_, values, value_gradients_across_, Rp_, weight_gradients_, Rp_);
      write_logit_gradients(b, n, token, count);
      write_token_gradients(a_.key_gradient, pooled_keys_, keys_, b, n, token, count);
      write_token_gradients(a_.value_gradient, pooled_values_, values_, b, n, token, count);
    }
  }

 private:
  void read_logits(int64_t b, int64_t n, int64_t token, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      T* to = weights_ + i * Rp_;
      const bool seen = a_.visible == nullptr || a_.visible[b * a_.tokens + token + i];
      prefetch_row(a_.logits.at(b, token + i + kRowsAhead, n), R_);
      if (seen) copy(to, a_.logits.at(b, token + i, n), R_);
      const int64_t written = seen ? R_ : 0;
      fill(to + written, Rp_ - written, kHidden<T>);
    }
  }

  // Rows of whole vectors that lie near one another are used where they lie.
  bool can_stay(int64_t token_apart) const { return H_ == Hp_ && token_apart * static_cast<int64_t>(sizeof(T)) <= kNearRows; }

  Matrix<T> rows_of_tokens(Rows<const T> rows, T* packed, int64_t b, int64_t n, int64_t token, int64_t count) {
    if (can_stay(rows.token)) return {rows.at(b, token, n), rows.token};
    for (int64_t i = 0; i < count; ++i) {
      prefetch_row(rows.at(b, token + i + kRowsAhead, n), H_);
      copy_padded(packed + i * Hp_, rows.at(b, token + i, n), H_, Hp_);
    }
    return {packed, Hp_};
  }

  // By way of the memory of the packed rows, which are read by then.
  void write_token_gradients(Rows<T> rows, const T* pooled, T* packed, int64_t b, int64_t n, int64_t token, int64_t count) {
    const Matrix<T> weights{weights_, Rp_};
    if (can_stay(rows.token)) {
      T* to = rows.at(b, token, n);
      return a_.add ? product<true>(count, Hp_, R_, weights, pooled, Hp_, to, rows.token)
                    : product<false>(count, Hp_, R_, weights, pooled, Hp_, to, rows.token);
    }
    product<false>(count, Hp_, R_, weights, pooled, Hp_, packed, Hp_);
    for (int64_t i = 0; i < count; ++i) {
      T* to = rows.at(b, token + i, n);
      prefetch_row_to_write(rows.at(b, token + i + kRowsAhead, n), H_);
      if (a_.add)
        add_scaled(to, packed + i * Hp_, H_, T{1});
      else
        copy(to, packed + i * Hp_, H_);
    }
  }

  // The largest logit so far; what was summed under a smaller one is brought down to it.
  void raise_largest(int64_t count) {
    T factors[kLanes<T>];
    for (int64_t r = 0; r < Rp_; r += kLanes<T>) {
      const Vector<T> before = load(largest_ + r);
      Vector<T> most = before;
      for (int64_t i = 0; i < count; ++i) most = larger(most, load(weights_ + i * Rp_ + r));
      const Vector<T> factor = exponential(before - most);
      store(largest_ + r, most);
      store(sums_ + r, load(sums_ + r) * factor);
      store(factors, factor);
      for (int64_t lane = 0; lane < kLanes<T> && r + lane < R_; ++lane) {
        if (factors[lane] == T{1}) continue;
        copy_scaled(pooled_keys_ + (r + lane) * Hp_, pooled_keys_ + (r + lane) * Hp_, Hp_, factors[lane]);
        copy_scaled(pooled_values_ + (r + lane) * Hp_, pooled_values_ + (r + lane) * Hp_, Hp_, factors[lane]);
      }
    }
  }

  // Gradients of the pooled keys and values; `sums_` becomes the mean of each slot's weight gradients, which they tell.
  void read_gradients(int64_t b, int64_t n) {
    fill(sums_, Rp_, T{0});
    fill(largest_, Rp_, T{0});
    for (int64_t r = 0; r < R_; ++r) {
      largest_[r] = a_.log_sums[(b * a_.heads + n) * R_ + r];
      copy_padded(pooled_keys_ + r * Hp_, a_.pooled_key_gradient.at(b, r, n), H_, Hp_);
      copy_padded(pooled_values_ + r * Hp_, a_.pooled_value_gradient.at(b, r, n), H_, Hp_);
      const T *keys = a_.pooled_key.at(b, r, n), *values = a_.pooled_value.at(b, r, n);
      for (int64_t h = 0; h < H_; ++h)
        sums_[r] += keys[h] * pooled_keys_[r * Hp_ + h] + values[h] * pooled_values_[r * Hp_ + h];
    }
    transpose(key_gradients_across_, Rp_, pooled_keys_, Hp_, R_, H_);
    transpose(value_gradients_across_, Rp_, pooled_values_, Hp_, R_, H_);
  }

  void write_logit_gradients(int64_t b, int64_t n, int64_t token, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      T* gradients = weight_gradients_ + i * Rp_;
      for (int64_t r = 0; r < Rp_; r += kLanes<T>)
        store(gradients + r, load(weights_ + i * Rp_ + r) * (load(gradients + r) - load(sums_ + r)));
      copy(a_.logit_gradient.at(b, token + i, n), gradients, R_);
    }
  }

  const PoolArguments<T>& a_;
  const int64_t H_, R_, Hp_, Rp_;
  int64_t taken_;
  T *weights_, *keys_, *values_, *pooled_keys_, *pooled_values_, *largest_, *sums_;
  T *weight_gradients_ = nullptr, *key_gradients_across_ = nullptr, *value_gradients_across_ = nullptr;
};

template <class T>
PoolKernels<T> pool_kernels() {
  PoolKernels<T> kernels;
  kernels.scratch = [](const PoolArguments<T>& a, bool backward) { return PoolWork<T>(a, backward, nullptr).taken(); };
  kernels.forward = [](const PoolArguments<T>& a, int64_t b, int64_t n, int64_t first, int64_t end, PoolPart<T> part,
                       T* scratch) { PoolWork<T>(a, false, scratch).forward(b, n, first, end, part); };
  kernels.backward = [](const PoolArguments<T>& a, int64_t b, int64_t n, int64_t first, int64_t end, T* scratch) {
    PoolWork<T>(a, true, scratch).backward(b, n, first, end);
  };
  return kernels;
}

}  // namespace
}  // namespace tls
