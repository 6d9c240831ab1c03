// The loops of attention without libtorch, against plain ones, in memory of exactly the size that is needed: what
// `npm run check:kernels` runs under the sanitizers of addresses and of undefined behaviour.
//
// Shape letters: B batch, L tokens, N heads, H head size, C shared keys, R slots, S queries of a segment, Y keys that it sees.
#include "plain_window.h"

namespace {

template <class T>
void check_window(const std::string& name, const WindowKernels<T>& kernels, const WindowCase& c) {
  const WindowShape& s = c.shape;
  const int64_t N = s.heads, H = s.head_size;
  const double scale = 0.3;
  const WindowResults expected = plain_window(c, scale);
  auto query = as<T>(c.query), key = as<T>(c.key), value = as<T>(c.value), shared_key = as<T>(c.shared_key),
       shared_value = as<T>(c.shared_value), bias = as<T>(c.bias), direction = as<T>(c.direction);
  std::vector<T> result(query.size()), dquery(query.size()), dkey(query.size()), dvalue(query.size()),
      dshared_key(shared_key.size()), dshared_value(shared_key.size()), dbias(bias.size()),
      log_sums(static_cast<size_t>(s.batch * N * c.L));
  std::vector<unsigned char> visible(c.visible.begin(), c.visible.end());
  WindowArguments<T> a{};
  a.shape = s;
  a.scale = scale;
  a.dropout = c.dropout;
  a.query = rows<const T>(query, c.L, N, H);
  a.key = rows<const T>(key, c.L, N, H);
  a.value = rows<const T>(value, c.L, N, H);
  a.shared_key = rows<const T>(shared_key, s.shared, N, H);
  a.shared_value = rows<const T>(shared_value, s.shared, N, H);
  a.bias = c.biased ? bias.data() : nullptr;
  a.visible = c.masked ? reinterpret_cast<const bool*>(visible.data()) : nullptr;
  a.result = rows<T>(result, c.L, N, H);
  a.log_sums = log_sums.data();
  a.result_gradient = rows<const T>(direction, c.L, N, H);
  a.query_gradient = rows<T>(dquery, c.L, N, H);
  a.key_gradient = rows<T>(dkey, c.L, N, H);
  a.value_gradient = rows<T>(dvalue, c.L, N, H);
  a.shared_key_gradient = rows<T>(dshared_key, s.shared, N, H);
  a.shared_value_gradient = rows<T>(dshared_value, s.shared, N, H);
  a.bias_gradient = c.biased ? dbias.data() : nullptr;
  // NaN, so that what is read before it is written shows.
  std::vector<T> forward(static_cast<size_t>(kernels.scratch(s, false)), NAN), backward(static_cast<size_t>(kernels.scratch(s, true)), NAN);
  for (int64_t b = 0; b < s.batch; ++b)
    for (int64_t n = 0; n < N; ++n) {
      kernels.forward(a, b, n, 0, kernels.strips(s), forward.data());
      kernels.backward(a, b, n, 0, kernels.strips(s), backward.data());
    }
  expect_near(name + " result", result, expected.result);
  expect_near(name + " query", dquery, expected.query);
  expect_near(name + " key", dkey, expected.key);
  expect_near(name + " value", dvalue, expected.value);
  expect_near(name + " shared key", dshared_key, expected.shared_key);
  expect_near(name + " shared value", dshared_value, expected.shared_value);
  expect_near(name + " bias", dbias, expected.bias);
}

template <class T>
void check_pool(const std::string& name, const PoolKernels<T>& kernels) {
  PoolArguments<T> a{};
  a.heads = pick({1, 3});
  a.head_size = pick({1, 5, 16, 64});
  a.tokens = pick({1, 3, 64, 130});
  a.slots = pick({1, 4, 16, 33});
  const int64_t N = a.heads, H = a.head_size, L = a.tokens, R = a.slots;
  const Numbers logits = random_numbers(L * N * R), key = random_numbers(L * N * H), value = random_numbers(L * N * H);
  auto s = as<T>(logits), k = as<T>(key), v = as<T>(value);
  a.logits = rows<const T>(s, L, N, R);
  a.key = rows<const T>(k, L, N, H);
  a.value = rows<const T>(v, L, N, H);
  std::vector<T> scratch(static_cast<size_t>(kernels.scratch(a, false)), NAN);
  for (int64_t n = 0; n < N; ++n) {
    std::vector<T> largest(static_cast<size_t>(R)), sums(largest), keys(static_cast<size_t>(R * H)), values(keys);
    kernels.forward(a, 0, n, 0, L, {largest.data(), sums.data(), keys.data(), values.data()}, scratch.data());
    for (int64_t r = 0; r < R; ++r) {
      Numbers mean_key(static_cast<size_t>(H)), mean_value(mean_key), found_key(mean_key), found_value(mean_key);
      double sum = 0;
      for (int64_t t = 0; t < L; ++t) {
        const double weight = std::exp(logits[static_cast<size_t>((t * N + n) * R + r)]);
        sum += weight;
        for (int64_t h = 0; h < H; ++h) {
          mean_key[static_cast<size_t>(h)] += weight * key[static_cast<size_t>((t * N + n) * H + h)];
          mean_value[static_cast<size_t>(h)] += weight * value[static_cast<size_t>((t * N + n) * H + h)];
        }
      }
      std::vector<T> found(static_cast<size_t>(2 * H));
      Numbers expected(static_cast<size_t>(2 * H));
      for (int64_t h = 0; h < H; ++h) {
        expected[static_cast<size_t>(h)] = mean_key[static_cast<size_t>(h)] / sum;
        expected[static_cast<size_t>(H + h)] = mean_value[static_cast<size_t>(h)] / sum;
        found[static_cast<size_t>(h)] = keys[static_cast<size_t>(r * H + h)] / sums[static_cast<size_t>(r)];
        found[static_cast<size_t>(H + h)] = values[static_cast<size_t>(r * H + h)] / sums[static_cast<size_t>(r)];
      }
      expect_near(name + " pool", found, expected);
    }
  }
}

}  // namespace

int main() {
  const std::vector<InstructionSet> sets = available_sets();
  constexpr int kCases = 60;
  for (int i = 0; i < kCases; ++i) {
    const WindowCase c = window_case(600);
    for (const InstructionSet& set : sets) {
      const std::string name = std::string(set.name) + ", case " + std::to_string(i);
      check_window(name + ", float32", set.float32.window, c);
      check_window(name + ", float64", set.float64.window, c);
      check_pool(name + ", float32", set.float32.pool);
      check_pool(name + ", float64", set.float64.pool);
    }
  }
  std::printf("%d cases in %zu instruction sets: as the plain loops\n", kCases, sets.size());
}
