// The sweeps of a bidirectional layer over its sequence, forward and backward; the operator is in bidirectional_layer.cpp.
//
// They go over the sequence in strips of some hundred tokens, whose queries, logits and results never leave the cache. Between two sweeps
// only keys and values are kept, as the maps give them, and between those of the backward pass their gradients:
//   forward   1. keys, values and logits of a strip, which is pooled    2. its queries, attention, the result
//   backward  1. attention, of which queries are done with              2. projection, norms and the other maps
// What the backward pass needs besides is computed again, as are keys and values where they are not kept.
//
// Shape letters: B batch, L tokens, D width, N heads, H = D/N, R slots of a head, T tokens of a strip, E tokens that it sees on either
// side (at most half a strip), S strips of a sequence, P parts: strips that one thread does one after another.
#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <utility>

#include "../attention/pool_parts.h"
#include "../tensors.h"
#include "../work.h"
#include "packed.h"

namespace tls {
namespace {

using at::Tensor;

// The linear maps, in the order of `weights` and `biases`.
enum Map : int { kQuery, kKey, kValue, kLogits, kOutput, kMaps };
// The parameters of the two norms, in the order of `norms`.
enum Norm : int { kTokenWeight, kTokenBias, kSlotWeight, kSlotBias, kNorms };

// Numbers of a strip, of which there are some ten kinds at once, about; outputs of a map whose gradients stay in cache.
constexpr int64_t kStrip = int64_t{1} << 16;
constexpr int64_t kOutputs = 48;

struct Settings {
  int64_t heads, window, reach;
  double token_epsilon, slot_epsilon, scale;
  Dropout dropout;
};

struct Inputs {
  Tensor x;                                        // (B, L, D)
  std::array<Tensor, kMaps> weights, biases;       // (O, D), (O)
  std::array<Tensor, kNorms> norms;                // (D)
  Tensor visible;                                  // (B, L) or undefined
  Tensor pooled;                                   // (B, L), which tokens are compressed; undefined: the visible ones
};

// What the forward pass leaves to the backward pass. Keys or values (B, L, D) are undefined where they are computed again.
struct Kept {
  Tensor key, value;
  Tensor statistics;                               // of the norms of keys and values: mean and factor of both, (4, B, L)
  Tensor log_sums;                                 // (B, N, L)
  Tensor pooled_key, pooled_value, pool_log_sums;  // (B, R, N, H) twice, (B, N, R)
};

// Between the sweeps of the backward pass: gradients of keys and values that came from windows, (B * L + 2 * P * E, D). A part has rows of
// its own for its tokens and, before and behind them, for those of its neighbours that its windows reach.
struct Between {
  Tensor key, value;
};

// Gradients of pooled keys and values, (B, R, N, H).
struct Pooled {
  Tensor key, value;
};

struct Gradients {
  Tensor x;
  std::array<Tensor, kMaps> weights, biases;
  std::array<Tensor, kNorms> norms;
};

// Hands out one thread's memory in parts that begin at a whole number of cache lines; without memory it only counts.
template <class T>
class Parts {
 public:
  explicit Parts(T* memory) : memory_(memory) {}
  T* take(int64_t count) {
    T* part = memory_ == nullptr ? nullptr : memory_ + taken_;
    taken_ += (count + 15) / 16 * 16;
    return part;
  }
  int64_t taken() const { return taken_; }

 private:
  T* memory_;
  int64_t taken_ = 0;
};

// Tokens [first, end) of sequence b, and [seen_first, seen_end), which they see.
struct Strip {
  int64_t index, b, first, end, seen_first, seen_end;
  int64_t tokens() const { return end - first; }
  int64_t seen() const { return seen_end - seen_first; }
};

template <class T>
class Layer {
 public:
  Layer(const Inputs& in, const Settings& settings)
      : in_(in),
        settings_(settings),
        B_(in.x.size(0)),
        L_(in.x.size(1)),
        D_(in.x.size(2)),
        N_(settings.heads),
        H_(D_ / N_),
        R_(in.weights[kLogits].size(0) / N_),
        window_kernel_(kernels<T>().window),
        pool_kernel_(kernels<T>().pool),
        linear_(layer_kernels<T>().linear),
        norm_(layer_kernels<T>().norm) {
    shape_ = {B_, N_, H_, R_, 1, L_, 1, settings.window, 0, settings.reach, true, std::clamp<int64_t>(kStrip / D_, 128, 512)};
    T_ = window_kernel_.strip_tokens(shape_);
    E_ = settings.reach;
    S_ = (L_ + T_ - 1) / T_;
    int64_t weights = 0;
    for (const Tensor& weight : in.weights) weights += weight.numel();
    parts_ = std::max<int64_t>(1, std::min(B_ * S_, parts_for(B_ * L_ * D_, weights)));
  }

  // between: what is done with the pooled tokens before all see them.
  template <class Meanwhile>
  Tensor forward(Kept& kept, Meanwhile between) {
    const auto options = in_.x.options();
    pack({kQuery, kKey, kValue, kLogits, kOutput}, PackedFor::results);
    kept.key = at::empty({B_, L_, D_}, options);
    kept.value = at::empty({B_, L_, D_}, options);
    kept.statistics = at::empty({4, B_, L_}, options);
    kept.log_sums = at::zeros({B_, N_, L_}, options);
    kept.pooled_key = at::empty({B_, R_, N_, H_}, options);
    kept.pooled_value = at::empty({B_, R_, N_, H_}, options);
    kept.pool_log_sums = at::empty({B_, N_, R_}, options);
    Tensor result = at::empty({B_, L_, D_}, options);
    pool(kept);
    between(kept);
    norm_slots(kept);
    each_strip([&](int64_t, const Strip& strip, Memory& m) { attend(strip, kept, result, m); });
    return result;
  }

  // between: what is done with the gradients of the pooled tokens before they go back to the tokens.
  template <class Meanwhile>
  Gradients backward(const Tensor& result_gradient, const Kept& kept, bool of_input, Meanwhile between) {
    norm_slots(kept);
    Gradients found;
    if (of_input) found.x = at::empty(in_.x.sizes(), in_.x.options());
    make_copies();
    const int64_t rows = B_ * L_ + 2 * parts_ * E_;
    between_ = {at::empty({rows, D_}, in_.x.options()), at::empty({rows, D_}, in_.x.options())};
    pack({kQuery, kOutput}, PackedFor::input_gradient);
    pack({kQuery}, PackedFor::results);
    pack_unkept(kept);
    each_strip([&](int64_t part, const Strip& strip, Memory& m) { attend_backward(part, strip, result_gradient, kept, found.x, m); });
    Pooled pooled = slots_backward(kept, found);
    between(pooled);
    forward_ = backward_ = {};
    pack({kKey, kValue, kLogits}, PackedFor::input_gradient);
    pack({kLogits}, PackedFor::results);
    pack_unkept(kept);
    each_strip([&](int64_t part, const Strip& strip, Memory& m) { project_backward(part, strip, kept, pooled, found.x, m); });
    between_ = {};
    sum_copies(found);
    return found;
  }

 private:
  // Rows of one strip, or of what it sees; one thread's own.
  struct Memory {
    explicit Memory(const Layer& layer, T* memory) {
      const int64_t rows = layer.T_ * layer.D_, seen = (layer.T_ + 2 * layer.E_) * layer.D_, logits_of = layer.T_ * layer.N_ * layer.R_;
      Parts<T> parts(memory);
      raw_key = parts.take(seen);
      raw_value = parts.take(seen);
      key = parts.take(seen);
      value = parts.take(seen);
      key_gradient = parts.take(rows);
      value_gradient = parts.take(rows);
      query = parts.take(rows);
      query_gradient = parts.take(rows);
      result = parts.take(rows);
      result_gradient = parts.take(rows);
      logits = parts.take(logits_of);
      logit_gradient = parts.take(logits_of);
      scratch = parts.take(layer.kernel_scratch());
      taken = parts.taken();
    }
    T *raw_key, *raw_value, *key, *value, *key_gradient, *value_gradient;
    T *query, *query_gradient, *result, *result_gradient, *logits, *logit_gradient;
    T* scratch;
    int64_t taken;
  };

  // Each part adds to gradients of parameters of its own. As many as do not take much memory beside the sequence: for narrow layers
  // always the same number, a power of two, so that threads get equal shares; for wide ones two, or one for each thread.
  static int64_t parts_for(int64_t numbers, int64_t weights) {
    const int64_t least = std::max(2, at::get_num_threads()), most = std::max(kWorkItems, least);
    int64_t parts = 1;
    while (2 * parts <= std::min(most, numbers / (4 * weights))) parts *= 2;
    return std::max(least, parts);
  }

  int64_t kernel_scratch() const {
    LinearMap<T> maps[kMaps] = {};
    for (int m = 0; m < kMaps; ++m) maps[m].outputs = in_.weights[m].size(0);
    const LinearArguments<T> linear{D_, nullptr, D_, maps, kMaps, nullptr, true};
    PoolArguments<T> pool{};
    pool.head_size = H_;
    pool.slots = R_;
    return std::max({linear_.scratch(linear, false), linear_.scratch(linear, true), pool_kernel_.scratch(pool, false),
                     pool_kernel_.scratch(pool, true), window_kernel_.scratch(shape_, true)});
  }

  // Calls act(part, strip, memory) for all strips, on several threads; those of a part one after another.
  template <class Do>
  void each_strip(Do act) const {
    const int64_t all = B_ * S_;
    at::parallel_for(0, parts_, 1, [&](int64_t begin, int64_t end) {
      const Tensor memory = at::empty({Memory(*this, nullptr).taken}, in_.x.options());
      Memory m(*this, memory.data_ptr<T>());
      for (int64_t part = begin; part < end; ++part)
        for (int64_t i = all * part / parts_; i < all * (part + 1) / parts_; ++i) {
          const int64_t first = i % S_ * T_, last = std::min(L_, first + T_);
          act(part, Strip{i, i / S_, first, last, std::max<int64_t>(0, first - E_), std::min(L_, last + E_)}, m);
        }
    });
  }

  // The first part that has strips of a sequence.
  int64_t first_part(int64_t b) const { return ((b * S_ + 1) * parts_ - 1) / (B_ * S_); }

  // Parts that have strips of one sequence, at most.
  int64_t parts_of_sequence() const {
    int64_t most = 1;
    for (int64_t b = 0; b < B_; ++b) {
      const int64_t last = ((b + 1) * S_ * parts_ - 1) / (B_ * S_);
      most = std::max(most, last - first_part(b) + 1);
    }
    return most;
  }

  // ---- rows --------------------------------------------------------------------------------------------------------------------

  // Row of a token of a (B, L, D) tensor.
  T* row(const Tensor& tensor, int64_t b, int64_t token) const { return tensor.data_ptr<T>() + (b * L_ + token) * D_; }

  // Memory that holds the rows from token `first` of a sequence on, as rows of the whole sequence: those outside are never touched.
  template <class Number>
  Rows<Number> rows_from(Number* memory, int64_t first, int64_t width) const {
    return {memory - first * width, 0, width, width / N_};
  }

  void pack(std::initializer_list<Map> maps, PackedFor use) {
    for (const Map m : maps) (use == PackedFor::results ? forward_ : backward_)[m] = packed<T>(in_.weights[m], use);
  }

  void pack_unkept(const Kept& kept) {
    if (!kept.key.defined()) pack({kKey}, PackedFor::results);
    if (!kept.value.defined()) pack({kValue}, PackedFor::results);
  }

  using Outputs = std::initializer_list<std::pair<Map, T*>>;

  // Maps of rows of D numbers.
  void map(const T* rows, int64_t count, Outputs outputs, T* scratch) const {
    LinearMap<T> maps[kMaps] = {};
    int64_t wanted = 0;
    for (const auto& [m, to] : outputs) {
      const int64_t O = in_.weights[m].size(0);
      maps[wanted++] = {O, forward_[m].template data_ptr<T>(), in_.biases[m].template data_ptr<T>(), to, nullptr, O};
    }
    linear_.forward({D_, rows, D_, maps, wanted, nullptr, false}, 0, count, scratch);
  }

  // The gradient of the input, where it is wanted, and of the maps' parameters, which are added to the part's.
  void map_backward(int64_t part, const T* rows, int64_t count, Outputs gradients, T* input_gradient, bool add, T* scratch) const {
    LinearMap<T> maps[kMaps] = {};
    int64_t given = 0;
    for (const auto& [m, gradient] : gradients) {
      const int64_t O = in_.weights[m].size(0);
      maps[given++] = {O, backward_[m].template data_ptr<T>(), nullptr, nullptr, gradient, O};
    }
    const LinearArguments<T> a{D_, rows, D_, maps, given, input_gradient, add};
    if (input_gradient != nullptr) linear_.input_gradient(a, 0, count, scratch);
    given = 0;
    for (const auto& [m, gradient] : gradients) {
      const int64_t O = in_.weights[m].size(0);
      for (int64_t o = 0; o < O; o += kOutputs)
        linear_.parameter_gradients(a, {given, o, std::min(O, o + kOutputs), 0, count, weight_copies_[m].at(part), bias_copies_[m].at(part)},
                                    scratch);
      ++given;
    }
  }

  NormArguments<T> norm_arguments(const T* rows, Norm weight, Norm bias, double epsilon, T* means, T* factors) const {
    NormArguments<T> a{};
    a.width = D_;
    a.epsilon = epsilon;
    a.input = rows;
    a.input_row = a.gradient_row = D_;
    a.weight = in_.norms[weight].template data_ptr<T>();
    a.bias = in_.norms[bias].template data_ptr<T>();
    a.means = means;
    a.factors = factors;
    return a;
  }

  // Which of keys and values.
  enum Which { kOfKeys, kOfValues };

  NormArguments<T> token_norm(const T* rows, Which which, int64_t b, int64_t first, const Kept& kept) const {
    T* means = kept.statistics.data_ptr<T>() + (2 * which * B_ + b) * L_ + first;
    return norm_arguments(rows, kTokenWeight, kTokenBias, settings_.token_epsilon, means, means + B_ * L_);
  }

  // Keys and values of tokens [first, end) after the norm, into the memory; before it, where they are.
  struct Tokens {
    const T *key, *value;
  };
  Tokens normed(int64_t b, int64_t first, int64_t end, const Kept& kept, Memory& m) const {
    const bool has_keys = kept.key.defined(), has_values = kept.value.defined();
    const Tokens raw{has_keys ? row(kept.key, b, first) : m.raw_key, has_values ? row(kept.value, b, first) : m.raw_value};
    const T* x = row(in_.x, b, first);
    if (!has_keys && !has_values)
      map(x, end - first, {{kKey, m.raw_key}, {kValue, m.raw_value}}, m.scratch);
    else if (!has_keys)
      map(x, end - first, {{kKey, m.raw_key}}, m.scratch);
    else if (!has_values)
      map(x, end - first, {{kValue, m.raw_value}}, m.scratch);
    norm(norm_.again, raw, b, first, end, kept, m);
    return raw;
  }
  void norm(void (*kernel)(const NormArguments<T>&, int64_t, int64_t), const Tokens& raw, int64_t b, int64_t first, int64_t end,
            const Kept& kept, Memory& m) const {
    auto keys = token_norm(raw.key, kOfKeys, b, first, kept), values = token_norm(raw.value, kOfValues, b, first, kept);
    keys.result = m.key;
    values.result = m.value;
    kernel(keys, 0, end - first);
    kernel(values, 0, end - first);
  }

  // ---- forward -----------------------------------------------------------------------------------------------------------------

  PoolArguments<T> pool_arguments(const Strip& strip, Memory& m) const {
    PoolArguments<T> a{};
    a.heads = N_;
    a.head_size = H_;
    a.tokens = L_;
    a.slots = R_;
    a.logits = rows_from<const T>(m.logits, strip.first, N_ * R_);
    a.key = rows_from<const T>(m.key, strip.first, D_);
    a.value = rows_from<const T>(m.value, strip.first, D_);
    a.visible = flags(in_.pooled.defined() ? in_.pooled : in_.visible);
    return a;
  }

  static const bool* flags(const Tensor& of) { return of.defined() ? of.data_ptr<bool>() : nullptr; }

  void pool(Kept& kept) const {
    const int64_t size = pool_part_size(R_, H_);
    const int64_t copies = parts_of_sequence();
    const Tensor sums = at::empty({B_ * N_ * copies, size}, in_.x.options());
    for (int64_t i = 0; i < sums.size(0); ++i) clear_pool_part(sums.data_ptr<T>() + i * size, R_, H_);
    each_strip([&](int64_t part, const Strip& strip, Memory& m) {
      const int64_t b = strip.b, first = strip.first, count = strip.tokens();
      const Tokens raw{row(kept.key, b, first), row(kept.value, b, first)};
      map(row(in_.x, b, first), count,
          {{kKey, row(kept.key, b, first)}, {kValue, row(kept.value, b, first)}, {kLogits, m.logits}}, m.scratch);
      norm(norm_.forward, raw, b, first, strip.end, kept, m);
      const auto a = pool_arguments(strip, m);
      for (int64_t n = 0; n < N_; ++n) {
        T* to = sums.data_ptr<T>() + ((b * N_ + n) * copies + part - first_part(b)) * size;
        pool_kernel_.forward(a, b, n, first, strip.end, pool_part_at(to, R_, H_), m.scratch);
      }
    });
    PoolArguments<T> a{};
    a.heads = N_;
    a.head_size = H_;
    a.slots = R_;
    join_pool_parts(a, sums.data_ptr<T>(), B_, copies, rows_of<T>(kept.pooled_key), rows_of<T>(kept.pooled_value),
                    kept.pool_log_sums.data_ptr<T>());
  }

  NormArguments<T> slot_norm(const Tensor& pooled, const Tensor& statistics) const {
    T* numbers = statistics.data_ptr<T>();
    return norm_arguments(pooled.data_ptr<T>(), kSlotWeight, kSlotBias, settings_.slot_epsilon, numbers, numbers + B_ * R_);
  }

  // Keys and values that all tokens of a sequence see.
  void norm_slots(const Kept& kept) {
    const auto normed = [&](const Tensor& pooled, Tensor& statistics) {
      statistics = at::empty({2, B_ * R_}, pooled.options());
      const Tensor result = at::empty(pooled.sizes(), pooled.options());
      auto a = slot_norm(pooled, statistics);
      a.result = result.data_ptr<T>();
      norm_.forward(a, 0, B_ * R_);
      return result;
    };
    slot_key_ = normed(kept.pooled_key, slot_key_statistics_);
    slot_value_ = normed(kept.pooled_value, slot_value_statistics_);
  }

  WindowArguments<T> window_arguments(const Strip& strip, const Kept& kept, Memory& m) const {
    WindowArguments<T> a{};
    a.shape = shape_;
    a.scale = settings_.scale;
    a.dropout = settings_.dropout;
    a.query = rows_from<const T>(m.query, strip.first, D_);
    a.key = rows_from<const T>(m.key, strip.seen_first, D_);
    a.value = rows_from<const T>(m.value, strip.seen_first, D_);
    a.shared_key = rows_of<const T>(slot_key_);
    a.shared_value = rows_of<const T>(slot_value_);
    a.visible = flags(in_.visible);
    a.log_sums = kept.log_sums.data_ptr<T>();
    a.result = rows_from<T>(m.result, strip.first, D_);
    // What is hidden is not written.
    if (a.visible != nullptr) std::fill(m.result, m.result + strip.tokens() * D_, T{0});
    return a;
  }

  void attend(const Strip& strip, const Kept& kept, const Tensor& result, Memory& m) const {
    normed(strip.b, strip.seen_first, strip.seen_end, kept, m);
    map(row(in_.x, strip.b, strip.first), strip.tokens(), {{kQuery, m.query}}, m.scratch);
    const auto a = window_arguments(strip, kept, m);
    const int64_t index = strip.index % S_;
    for (int64_t n = 0; n < N_; ++n) window_kernel_.forward(a, strip.b, n, index, index + 1, m.scratch);
    map(m.result, strip.tokens(), {{kOutput, row(result, strip.b, strip.first)}}, m.scratch);
  }

  // ---- backward ----------------------------------------------------------------------------------------------------------------

  // Row of a token, counted through all sequences, among those of a part.
  T* row_of_part(const Tensor& between, int64_t part, int64_t token) const {
    return between.data_ptr<T>() + (token + (2 * part + 1) * E_) * D_;
  }

  int64_t first_strip(int64_t part) const { return B_ * S_ * part / parts_; }
  bool is_first(int64_t part, const Strip& strip) const { return strip.index == first_strip(part); }
  bool is_last(int64_t part, const Strip& strip) const { return strip.index + 1 == first_strip(part + 1); }

  void attend_backward(int64_t part, const Strip& strip, const Tensor& result_gradient, const Kept& kept, const Tensor& x_gradient,
                       Memory& m) const {
    const int64_t b = strip.b, first = strip.first, count = strip.tokens();
    normed(b, strip.seen_first, strip.seen_end, kept, m);
    map(row(in_.x, b, first), count, {{kQuery, m.query}}, m.scratch);
    auto a = window_arguments(strip, kept, m);
    T* given = row(result_gradient, b, first);
    {
      LinearMap<T> output{D_, backward_[kOutput].template data_ptr<T>(), nullptr, nullptr, given, D_};
      linear_.input_gradient({D_, nullptr, D_, &output, 1, m.result_gradient, false}, 0, count, m.scratch);
    }
    if (a.visible != nullptr) std::fill(m.query_gradient, m.query_gradient + count * D_, T{0});
    a.result_gradient = rows_from<const T>(m.result_gradient, first, D_);
    a.query_gradient = rows_from<T>(m.query_gradient, first, D_);
    a.key_gradient = window_gradients(part, strip, between_.key);
    a.value_gradient = window_gradients(part, strip, between_.value);
    const int64_t copy = part - first_part(b);
    a.shared_key_gradient = rows_of<T>(slot_key_copies_.select(0, copy));
    a.shared_value_gradient = rows_of<T>(slot_value_copies_.select(0, copy));
    const int64_t index = strip.index % S_;
    for (int64_t n = 0; n < N_; ++n) window_kernel_.backward(a, b, n, index, index + 1, m.scratch);
    map_backward(part, m.result, count, {{kOutput, given}}, nullptr, false, m.scratch);
    map_backward(part, row(in_.x, b, first), count, {{kQuery, m.query_gradient}},
                 x_gradient.defined() ? row(x_gradient, b, first) : nullptr, false, m.scratch);
  }

  // Where the windows of a strip add to, which they reach E tokens before and behind it: 0 where no strip of the part did before.
  Rows<T> window_gradients(int64_t part, const Strip& strip, const Tensor& between) const {
    const int64_t first = strip.b * L_ + strip.first, end = strip.b * L_ + strip.end;
    T* new_rows = row_of_part(between, part, is_first(part, strip) ? first - E_ : first + E_);
    std::fill(new_rows, row_of_part(between, part, end + E_), T{0});
    return rows_from(row_of_part(between, part, first), strip.first, D_);
  }

  // Through the norm of the pooled keys and values, all at once: there are few.
  Pooled slots_backward(const Kept& kept, Gradients& found) const {
    Pooled pooled{sum_of_copies(slot_key_copies_).contiguous(), sum_of_copies(slot_value_copies_).contiguous()};
    found.norms[kSlotWeight] = at::zeros({D_}, in_.x.options());
    found.norms[kSlotBias] = at::zeros({D_}, in_.x.options());
    const auto through = [&](const Tensor& of, const Tensor& statistics, const Tensor& gradient) {
      auto a = slot_norm(of, statistics);
      a.result_gradient = a.input_gradient = gradient.data_ptr<T>();
      norm_.backward(a, 0, B_ * R_, found.norms[kSlotWeight].data_ptr<T>(), found.norms[kSlotBias].data_ptr<T>());
    };
    through(kept.pooled_key, slot_key_statistics_, pooled.key);
    through(kept.pooled_value, slot_value_statistics_, pooled.value);
    return pooled;
  }

  void project_backward(int64_t part, const Strip& strip, const Kept& kept, const Pooled& pooled, const Tensor& x_gradient,
                        Memory& m) const {
    const int64_t b = strip.b, first = strip.first, count = strip.tokens();
    const Tokens raw = normed(b, first, strip.end, kept, m);
    map(row(in_.x, b, first), count, {{kLogits, m.logits}}, m.scratch);
    auto a = pool_arguments(strip, m);
    a.log_sums = kept.pool_log_sums.data_ptr<T>();
    a.pooled_key = rows_of<const T>(kept.pooled_key);
    a.pooled_value = rows_of<const T>(kept.pooled_value);
    a.pooled_key_gradient = rows_of<const T>(pooled.key);
    a.pooled_value_gradient = rows_of<const T>(pooled.value);
    a.logit_gradient = rows_from<T>(m.logit_gradient, first, N_ * R_);
    T *of_key = from_all_windows(part, strip, between_.key), *of_value = from_all_windows(part, strip, between_.value);
    a.key_gradient = rows_from(of_key, first, D_);
    a.value_gradient = rows_from(of_value, first, D_);
    a.add = true;
    for (int64_t n = 0; n < N_; ++n) pool_kernel_.backward(a, b, n, first, strip.end, m.scratch);
    const auto through_norm = [&](const T* rows, Which which, const T* gradient, T* to) {
      auto norm = token_norm(rows, which, b, first, kept);
      norm.result_gradient = gradient;
      norm.input_gradient = to;
      norm_.backward(norm, 0, count, norm_weight_copies_.at(part), norm_bias_copies_.at(part));
    };
    through_norm(raw.key, kOfKeys, of_key, m.key_gradient);
    through_norm(raw.value, kOfValues, of_value, m.value_gradient);
    map_backward(part, row(in_.x, b, first), count,
                 {{kKey, m.key_gradient}, {kValue, m.value_gradient}, {kLogits, m.logit_gradient}},
                 x_gradient.defined() ? row(x_gradient, b, first) : nullptr, true, m.scratch);
  }

  // Rows of a strip that have what all windows gave: those of the part, and of its neighbours where they reach. A neighbour is no shorter
  // than it reaches, unless it is the last one.
  T* from_all_windows(int64_t part, const Strip& strip, const Tensor& between) const {
    const auto add = layer_kernels<T>().add;
    const int64_t index = strip.index % S_, first = strip.b * L_ + strip.first, end = strip.b * L_ + strip.end;
    T* own = row_of_part(between, part, first);
    if (index > 0 && is_first(part, strip)) add(own, row_of_part(between, part - 1, first), std::min(E_, end - first) * D_);
    if (index + 1 < S_ && is_last(part, strip))
      add(row_of_part(between, part, end - E_), row_of_part(between, part + 1, end - E_), E_ * D_);
    return own;
  }

  // ---- gradients of parameters -------------------------------------------------------------------------------------------------

  void make_copies() {
    for (int m = 0; m < kMaps; ++m) {
      const int64_t O = in_.weights[m].size(0);
      weight_copies_[m].copies = at::zeros({parts_, O, linear_.packed_size(1, D_)}, in_.x.options());
      bias_copies_[m].copies = at::zeros({parts_, O}, in_.x.options());
    }
    norm_weight_copies_.copies = at::zeros({parts_, D_}, in_.x.options());
    norm_bias_copies_.copies = at::zeros({parts_, D_}, in_.x.options());
    slot_key_copies_ = at::zeros({parts_of_sequence(), B_, R_, N_, H_}, in_.x.options());
    slot_value_copies_ = at::zeros({parts_of_sequence(), B_, R_, N_, H_}, in_.x.options());
  }

  void sum_copies(Gradients& found) {
    for (int m = 0; m < kMaps; ++m) {
      found.weights[m] = sum_of_copies(weight_copies_[m].copies).narrow(1, 0, D_).contiguous();
      found.biases[m] = sum_of_copies(bias_copies_[m].copies);
    }
    found.norms[kTokenWeight] = sum_of_copies(norm_weight_copies_.copies);
    found.norms[kTokenBias] = sum_of_copies(norm_bias_copies_.copies);
  }

  const Inputs& in_;
  const Settings settings_;
  const int64_t B_, L_, D_, N_, H_, R_;
  const WindowKernels<T>& window_kernel_;
  const PoolKernels<T>& pool_kernel_;
  const LinearKernels<T>& linear_;
  const NormKernels<T>& norm_;
  WindowShape shape_;
  int64_t T_, E_, S_, parts_;
  std::array<Tensor, kMaps> forward_, backward_;                     // packed weights
  Tensor slot_key_, slot_value_;                                     // (B, R, N, H), normed
  Tensor slot_key_statistics_, slot_value_statistics_;               // means and factors (2, B * R)
  std::array<Partial<T>, kMaps> weight_copies_, bias_copies_;
  Partial<T> norm_weight_copies_, norm_bias_copies_;
  Tensor slot_key_copies_, slot_value_copies_;                       // (copies, B, R, N, H)
  Between between_;
};

}  // namespace
}  // namespace tls
