// The CUDA kernels of attention, run by the emulation of cuda-emulation.h, against plain loops: what `npm run check:kernels` runs where
// there is no GPU. Each case runs twice with the threads in another order: the results must be the same bits.
//
// Shape letters: B batch, L tokens or queries, N heads, H head size, C shared keys, R slots, S queries of a segment, Y keys that it sees.
#define TLS_CUDA_EMULATION
#include "../kernels/attention/cuda/primitives.cuh"
#include "../kernels/attention/cuda/shapes.h"
#include "plain_causal.h"
#include "plain_window.h"

namespace {

using namespace tls::gpu;

template <class T>
constexpr Type kType = std::is_same_v<T, float> ? Type::float32 : std::is_same_v<T, bfloat16> ? Type::bfloat16 : Type::float16;
template <class T>
constexpr const char* kName = std::is_same_v<T, float> ? "float32" : std::is_same_v<T, bfloat16> ? "bfloat16" : "float16";
// What rounding does, of the largest number. Biases make scores so large that rounding a query to 8 bits changes a weight by some
// percent; float32 is there to show what is wrong by less.
template <class T>
constexpr double kAllowed = std::is_same_v<T, float> ? 2e-5 : std::is_same_v<T, bfloat16> ? 8e-2 : 1e-2;

template <class T>
std::vector<T> rounded(Numbers& numbers) {
  std::vector<T> result;
  for (double& number : numbers) {
    result.push_back(to_type<T>(static_cast<float>(number)));
    number = to_float(result.back());
  }
  return result;
}

// Of what a kernel writes: NaN, so that what it does not write shows.
template <class T>
std::vector<T> unwritten(size_t count) {
  return std::vector<T>(count, to_type<T>(NAN));
}

template <class T>
void expect_numbers(const std::string& what, const std::vector<T>& found, const Numbers& expected) {
  double largest = 1;
  for (double number : expected) largest = std::max(largest, std::abs(number));
  for (size_t i = 0; i < expected.size(); ++i) {
    const double number = to_float(found[i]);
    if (std::abs(number - expected[i]) <= kAllowed<T> * largest) continue;
    std::printf("%s %s: expected %g at %zu, received %g\n", kName<T>, what.c_str(), expected[i], i, number);
    std::exit(1);
  }
}

template <class T>
void expect_same(const std::string& what, const std::vector<T>& first, const std::vector<T>& second) {
  if (first.empty() || std::memcmp(first.data(), second.data(), first.size() * sizeof(T)) == 0) return;
  std::printf("%s %s: other bits when threads run in another order\n", kName<T>, what.c_str());
  std::exit(1);
}

// (B, L, N, H), contiguous.
template <class T>
HeadRows rows_in(const std::vector<T>& numbers, int64_t tokens, int64_t heads, int64_t size) {
  return head_rows(numbers.data(), tokens * heads * size, heads * size, size, size, sizeof(T));
}

template <class Results, class Run>
Results same_twice(Run run) {
  emulation::order_seed = 0;
  Results first = run();
  emulation::order_seed = 1;
  const Results second = run();
  each_of(first, second, [](const char* name, const auto& a, const auto& b) { expect_same(name, a, b); });
  return first;
}

// ---- window attention ----------------------------------------------------------------------------------------------------------

template <class T>
struct WindowFound {
  std::vector<T> result, query, key, value, shared_key, shared_value, bias;
};

template <class T, class Do>
void each_of(const WindowFound<T>& a, const WindowFound<T>& b, Do act) {
  act("result", a.result, b.result);
  act("query", a.query, b.query);
  act("key", a.key, b.key);
  act("value", a.value, b.value);
  act("shared key", a.shared_key, b.shared_key);
  act("shared value", a.shared_value, b.shared_value);
  act("bias", a.bias, b.bias);
}

template <class T>
void check_window(const std::string& name, WindowCase c) {
  const WindowShape& s = c.shape;
  const int64_t N = s.heads, H = s.head_size, L = c.L;
  const double scale = 0.3;
  const auto query = rounded<T>(c.query), key = rounded<T>(c.key), value = rounded<T>(c.value), shared_key = rounded<T>(c.shared_key),
             shared_value = rounded<T>(c.shared_value), bias = rounded<T>(c.bias), direction = rounded<T>(c.direction);
  const std::vector<unsigned char> visible(c.visible.begin(), c.visible.end());
  const auto found = same_twice<WindowFound<T>>([&] {
    WindowFound<T> f;
    // What is not visible is not written.
    f.result = f.query = f.key = f.value = std::vector<T>(query.size(), to_type<T>(c.masked ? 0 : NAN));
    f.shared_key = f.shared_value = unwritten<T>(shared_key.size());
    f.bias = unwritten<T>(bias.size());
    std::vector<float> log_sums(static_cast<size_t>(s.batch * N * L), NAN);
    Problem p = window_problem(s, scale, c.dropout);
    p.type = kType<T>;
    p.query = rows_in(query, L, N, H);
    p.key[kWindow] = rows_in(key, L, N, H);
    p.value[kWindow] = rows_in(value, L, N, H);
    p.key[kShared] = rows_in(shared_key, s.shared, N, H);
    p.value[kShared] = rows_in(shared_value, s.shared, N, H);
    p.bias = c.biased ? bias.data() : nullptr;
    p.visible = c.masked ? reinterpret_cast<const bool*>(visible.data()) : nullptr;
    p.result = rows_in(f.result, L, N, H);
    p.log_sums = log_sums.data();
    attention_forward(p, nullptr);
    p.result_gradient = rows_in(direction, L, N, H);
    p.query_gradient = rows_in(f.query, L, N, H);
    p.key_gradient[kWindow] = rows_in(f.key, L, N, H);
    p.value_gradient[kWindow] = rows_in(f.value, L, N, H);
    p.key_gradient[kShared] = rows_in(f.shared_key, s.shared, N, H);
    p.value_gradient[kShared] = rows_in(f.shared_value, s.shared, N, H);
    p.bias_gradient = f.bias.data();
    std::vector<float> workspace(static_cast<size_t>(workspace_of(p)), NAN);
    p.workspace = workspace.data();
    attention_backward(p, nullptr);
    if (!s.has_window) f.key = f.value = std::vector<T>(key.size(), to_type<T>(0));
    return f;
  });
  const WindowResults expected = plain_window(c, scale);
  expect_numbers(name + " result", found.result, expected.result);
  expect_numbers(name + " query", found.query, expected.query);
  expect_numbers(name + " key", found.key, expected.key);
  expect_numbers(name + " value", found.value, expected.value);
  expect_numbers(name + " shared key", found.shared_key, expected.shared_key);
  expect_numbers(name + " shared value", found.shared_value, expected.shared_value);
  expect_numbers(name + " bias", found.bias, expected.bias);
}

// ---- causal attention ----------------------------------------------------------------------------------------------------------

template <class T>
struct CausalFound {
  std::vector<T> result, gradients[kParts];
};

template <class T, class Do>
void each_of(const CausalFound<T>& a, const CausalFound<T>& b, Do act) {
  act("result", a.result, b.result);
  for (int part = 0; part < kParts; ++part) act(kNames[part], a.gradients[part], b.gradients[part]);
}

template <class T>
void check_causal(const std::string& name, CausalCase c) {
  const CausalShape& s = c.shape;
  const int64_t N = s.heads, H = s.head_size, L = s.queries, K = s.before + s.queries;
  const double scale = 0.3;
  std::vector<T> in[kParts];
  for (int part = 0; part < kParts; ++part) in[part] = rounded<T>(c.inputs[part]);
  const auto direction = rounded<T>(c.direction);
  const auto found = same_twice<CausalFound<T>>([&] {
    CausalFound<T> f;
    f.result = unwritten<T>(direction.size());
    for (int part = 0; part < kParts; ++part) f.gradients[part] = unwritten<T>(in[part].size());
    std::vector<float> softmaxes(static_cast<size_t>(2 * s.batch * N * L), NAN);
    Problem p = causal_problem(s, scale, c.dropout);
    p.type = kType<T>;
    p.query = rows_in(in[kQuery], L, N, H);
    p.key[kWindow] = rows_in(in[kKey], K, N, H);
    p.value[kWindow] = rows_in(in[kValue], K, N, H);
    p.key[kShared] = rows_in(in[kSlotKey], s.slots, N, H);
    p.value[kShared] = rows_in(in[kSlotValue], s.slots, N, H);
    p.query_bias = in[kWindowBias].data();
    p.position_bias = in[kPositionBias].data();
    p.positions[kWindow] = rows_in(in[kPositions], s.window, N, H);
    if (p.shared > 0) p.positions[kShared] = rows_in(in[kSlotPositions], s.ids, N, H);
    p.result = rows_in(f.result, L, N, H);
    p.softmaxes = softmaxes.data();
    attention_forward(p, nullptr);
    p.result_gradient = rows_in(direction, L, N, H);
    p.query_gradient = rows_in(f.gradients[kQuery], L, N, H);
    p.key_gradient[kWindow] = rows_in(f.gradients[kKey], K, N, H);
    p.value_gradient[kWindow] = rows_in(f.gradients[kValue], K, N, H);
    p.key_gradient[kShared] = rows_in(f.gradients[kSlotKey], s.slots, N, H);
    p.value_gradient[kShared] = rows_in(f.gradients[kSlotValue], s.slots, N, H);
    p.query_bias_gradient = f.gradients[kWindowBias].data();
    p.position_bias_gradient = f.gradients[kPositionBias].data();
    p.positions_gradient[kWindow] = f.gradients[kPositions].data();
    p.positions_gradient[kShared] = f.gradients[kSlotPositions].data();
    std::vector<float> workspace(static_cast<size_t>(workspace_of(p)), NAN);
    p.workspace = workspace.data();
    attention_backward(p, nullptr);
    if (p.shared == 0)
      for (int part : {kSlotKey, kSlotValue, kSlotPositions})
        f.gradients[part].assign(f.gradients[part].size(), to_type<T>(0));
    return f;
  });
  const CausalResults expected = plain_causal(c, scale);
  expect_numbers(name + " result", found.result, expected.result);
  for (int part = 0; part < kParts; ++part) expect_numbers(name + " " + kNames[part], found.gradients[part], expected.gradients[part]);
}

// ---- the dynamic projection ------------------------------------------------------------------------------------------------------

struct PoolCase {
  int64_t B, N, H, L, R;
  bool masked;
  Numbers logits, key, value, key_direction, value_direction;
  std::vector<unsigned char> visible;
};

PoolCase pool_case(int64_t longest) {
  PoolCase c{pick({1, 2}), pick({1, 3}), pick({5, 8, 20, 64, 72}), std::min(longest, pick({1, 3, 64, 130})), pick({1, 4, 33, 70}), pick({0, 1}) == 1,
             {}, {}, {}, {}, {}, {}};
  c.logits = random_numbers(c.B * c.L * c.N * c.R);
  c.key = random_numbers(c.B * c.L * c.N * c.H);
  c.value = random_numbers(c.B * c.L * c.N * c.H);
  c.key_direction = random_numbers(c.B * c.R * c.N * c.H);
  c.value_direction = random_numbers(c.B * c.R * c.N * c.H);
  c.visible.assign(static_cast<size_t>(c.B * c.L), 1);
  if (c.masked)
    for (auto& one : c.visible) one = pick({0, 1, 1}) == 1;
  return c;
}

struct PoolResults {
  Numbers pooled_key, pooled_value, logits, key, value;
};

PoolResults plain_pool(const PoolCase& c) {
  PoolResults r;
  r.pooled_key.resize(c.key_direction.size());
  r.pooled_value.resize(c.key_direction.size());
  r.logits.resize(c.logits.size());
  r.key.resize(c.key.size());
  r.value.resize(c.key.size());
  const auto row = [&](int64_t b, int64_t t, int64_t n, int64_t tokens, int64_t size) {
    return static_cast<size_t>(((b * tokens + t) * c.N + n) * size);
  };
  for (int64_t b = 0; b < c.B; ++b)
    for (int64_t n = 0; n < c.N; ++n)
      for (int64_t slot = 0; slot < c.R; ++slot) {
        Numbers weights(static_cast<size_t>(c.L));
        double sum = 0, mean = 0;
        const size_t pooled = row(b, slot, n, c.R, c.H);
        for (int64_t t = 0; t < c.L; ++t)
          if (c.visible[static_cast<size_t>(b * c.L + t)])
            sum += weights[static_cast<size_t>(t)] = std::exp(c.logits[row(b, t, n, c.L, c.R) + static_cast<size_t>(slot)]);
        const auto worth = [&](int64_t t) {
          const size_t at = row(b, t, n, c.L, c.H);
          return dot(&c.key[at], &c.key_direction[pooled], c.H) + dot(&c.value[at], &c.value_direction[pooled], c.H);
        };
        for (int64_t t = 0; t < c.L; ++t) {
          double& weight = weights[static_cast<size_t>(t)];
          weight = sum == 0 ? 0 : weight / sum;
          const size_t at = row(b, t, n, c.L, c.H);
          for (size_t h = 0; h < static_cast<size_t>(c.H); ++h) {
            r.pooled_key[pooled + h] += weight * c.key[at + h];
            r.pooled_value[pooled + h] += weight * c.value[at + h];
            r.key[at + h] += weight * c.key_direction[pooled + h];
            r.value[at + h] += weight * c.value_direction[pooled + h];
          }
          mean += weight * worth(t);
        }
        for (int64_t t = 0; t < c.L; ++t)
          r.logits[row(b, t, n, c.L, c.R) + static_cast<size_t>(slot)] = weights[static_cast<size_t>(t)] * (worth(t) - mean);
      }
  return r;
}

template <class T>
struct PoolFound {
  std::vector<T> pooled_key, pooled_value, logits, key, value;
};

template <class T, class Do>
void each_of(const PoolFound<T>& a, const PoolFound<T>& b, Do act) {
  act("pooled key", a.pooled_key, b.pooled_key);
  act("pooled value", a.pooled_value, b.pooled_value);
  act("logits", a.logits, b.logits);
  act("key", a.key, b.key);
  act("value", a.value, b.value);
}

template <class T>
void check_pool(const std::string& name, PoolCase c) {
  const auto logits = rounded<T>(c.logits), key = rounded<T>(c.key), value = rounded<T>(c.value),
             key_direction = rounded<T>(c.key_direction), value_direction = rounded<T>(c.value_direction);
  const auto number = [](int64_t x) { return static_cast<int>(x); };
  const auto found = same_twice<PoolFound<T>>([&] {
    PoolFound<T> f{unwritten<T>(key_direction.size()), unwritten<T>(key_direction.size()), unwritten<T>(logits.size()),
                   unwritten<T>(key.size()), unwritten<T>(key.size())};
    std::vector<float> log_sums(static_cast<size_t>(c.B * c.N * c.R), NAN);
    PoolProblem p{};
    p.type = kType<T>;
    p.batch = number(c.B);
    p.heads = number(c.N);
    p.head_size = number(c.H);
    p.tokens = number(c.L);
    p.slots = number(c.R);
    p.logits = rows_in(logits, c.L, c.N, c.R);
    p.key = rows_in(key, c.L, c.N, c.H);
    p.value = rows_in(value, c.L, c.N, c.H);
    p.visible = c.masked ? reinterpret_cast<const bool*>(c.visible.data()) : nullptr;
    p.pooled_key = rows_in(f.pooled_key, c.R, c.N, c.H);
    p.pooled_value = rows_in(f.pooled_value, c.R, c.N, c.H);
    p.log_sums = log_sums.data();
    std::vector<float> workspace(static_cast<size_t>(pool_workspace_of(p)), NAN);
    p.workspace = workspace.data();
    pool_forward(p, nullptr);
    p.pooled_key_gradient = rows_in(key_direction, c.R, c.N, c.H);
    p.pooled_value_gradient = rows_in(value_direction, c.R, c.N, c.H);
    p.logit_gradient = rows_in(f.logits, c.L, c.N, c.R);
    p.key_gradient = rows_in(f.key, c.L, c.N, c.H);
    p.value_gradient = rows_in(f.value, c.L, c.N, c.H);
    pool_backward(p, nullptr);
    return f;
  });
  const PoolResults expected = plain_pool(c);
  expect_numbers(name + " pooled key", found.pooled_key, expected.pooled_key);
  expect_numbers(name + " pooled value", found.pooled_value, expected.pooled_value);
  expect_numbers(name + " logits", found.logits, expected.logits);
  expect_numbers(name + " key", found.key, expected.key);
  expect_numbers(name + " value", found.value, expected.value);
}

template <class T>
void check_all(int i) {
  const std::string name = "case " + std::to_string(i);
  check_window<T>(name + " of windows,", window_case(150));
  check_causal<T>(name + " causal,", causal_case(130));
  check_pool<T>(name + " of pools,", pool_case(130));
}

}  // namespace

int main(int count, char** words) {
  const int cases = count > 1 ? std::atoi(words[1]) : 20;
  for (int i = 0; i < cases; ++i) {
    check_all<float>(i);
    check_all<bfloat16>(i);
    check_all<float16>(i);
  }
  std::printf("%d cases on an emulated GPU in 3 types of numbers: as the plain loops, the same bits in any order of threads\n", cases);
}
