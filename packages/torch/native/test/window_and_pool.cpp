// The loops of attention without libtorch, against plain ones, in memory of exactly the size that is needed: what
// `npm run check:kernels` runs under the sanitizers of addresses and of undefined behaviour.
//
// Shape letters: B batch, L tokens, N heads, H head size, C shared keys, R slots, S queries of a segment, Y keys that it sees.
#include "plain.h"

namespace {

struct WindowCase {
  WindowShape shape;
  bool biased, masked;
  int64_t L, S, Y;
  Numbers query, key, value, shared_key, shared_value, bias, direction;
  std::vector<char> visible;
};

WindowCase window_case() {
  WindowCase c;
  const bool grid = pick({0, 1}) == 1;
  WindowShape& s = c.shape;
  s.batch = pick({1, 2});
  s.heads = pick({1, 3});
  s.head_size = pick({1, 5, 16, 20, 64});
  s.rows = grid ? pick({1, 4, 9}) : 1;
  s.columns = grid ? pick({1, 5, 8}) : pick({1, 7, 40, 600});
  s.window_rows = grid ? pick({1, 2, 7}) : 1;
  s.window_columns = grid ? s.window_rows : pick({1, 2, 8, 33, 100});
  s.reach_columns = std::max<int64_t>(1, s.window_columns / 2);
  s.reach_rows = grid ? s.reach_columns : 0;
  s.has_window = pick({0, 1, 1, 1}) == 1;
  s.shared = s.has_window ? pick({0, 1, 9, 32}) : pick({1, 9, 32});
  c.L = s.rows * s.columns;
  c.S = s.window_rows * s.window_columns;
  c.Y = (s.window_rows + 2 * s.reach_rows) * (s.window_columns + 2 * s.reach_columns);
  c.biased = s.has_window && pick({0, 1}) == 1;
  c.masked = pick({0, 1}) == 1;
  const int64_t all = s.batch * c.L * s.heads * s.head_size, shared = s.batch * s.shared * s.heads * s.head_size;
  c.query = random_numbers(all);
  c.key = random_numbers(all);
  c.value = random_numbers(all);
  c.direction = random_numbers(all);
  c.shared_key = random_numbers(shared);
  c.shared_value = random_numbers(shared);
  c.bias = random_numbers(c.biased ? s.heads * c.S * c.Y : 0);
  c.visible.assign(static_cast<size_t>(s.batch * c.L), 1);
  if (c.masked)
    for (char& one : c.visible) one = pick({0, 1, 1}) == 1;
  return c;
}

struct WindowResults {
  Numbers result, query, key, value, shared_key, shared_value, bias;
};

// One query and one key after another.
WindowResults plain_window(const WindowCase& c, double scale) {
  const WindowShape& s = c.shape;
  const int64_t H = s.head_size, N = s.heads;
  const auto at = [&](int64_t b, int64_t t, int64_t n, int64_t tokens) { return ((b * tokens + t) * N + n) * H; };
  const auto zeros = [](const Numbers& like) { return Numbers(like.size()); };
  WindowResults r{zeros(c.query),      zeros(c.query),        zeros(c.key), zeros(c.value),
                  zeros(c.shared_key), zeros(c.shared_value), zeros(c.bias)};
  struct Seen {
    const double *key, *value;
    double *key_gradient, *value_gradient, *bias_gradient;
    double weight;
  };
  for (int64_t b = 0; b < s.batch; ++b)
    for (int64_t n = 0; n < N; ++n)
      for (int64_t t = 0; t < c.L; ++t) {
        if (!c.visible[static_cast<size_t>(b * c.L + t)]) continue;
        const double* query = &c.query[static_cast<size_t>(at(b, t, n, c.L))];
        std::vector<Seen> seen;
        for (int64_t i = 0; i < s.shared; ++i) {
          const auto place = static_cast<size_t>(at(b, i, n, s.shared));
          seen.push_back({&c.shared_key[place], &c.shared_value[place], &r.shared_key[place], &r.shared_value[place], nullptr,
                          scale * dot(query, &c.shared_key[place], H)});
        }
        const int64_t row = t / s.columns, column = t % s.columns;
        const int64_t first_row = row / s.window_rows * s.window_rows - s.reach_rows;
        const int64_t first_column = column / s.window_columns * s.window_columns - s.reach_columns;
        const int64_t within = row % s.window_rows * s.window_columns + column % s.window_columns;
        for (int64_t y = 0; s.has_window && y < c.Y; ++y) {
          const int64_t across = s.window_columns + 2 * s.reach_columns;
          const int64_t key_row = first_row + y / across, key_column = first_column + y % across;
          if (key_row < 0 || key_row >= s.rows || key_column < 0 || key_column >= s.columns) continue;
          const int64_t token = key_row * s.columns + key_column;
          if (!c.visible[static_cast<size_t>(b * c.L + token)]) continue;
          const auto place = static_cast<size_t>(at(b, token, n, c.L));
          const auto bias = static_cast<size_t>((n * c.S + within) * c.Y + y);
          seen.push_back({&c.key[place], &c.value[place], &r.key[place], &r.value[place], c.biased ? &r.bias[bias] : nullptr,
                          scale * dot(query, &c.key[place], H) + (c.biased ? c.bias[bias] : 0)});
        }
        double largest = -INFINITY, sum = 0;
        for (const Seen& one : seen) largest = std::max(largest, one.weight);
        for (Seen& one : seen) sum += one.weight = std::exp(one.weight - largest);
        const auto place = static_cast<size_t>(at(b, t, n, c.L));
        double mean = 0;
        for (Seen& one : seen) {
          one.weight /= sum;
          for (int64_t h = 0; h < H; ++h) {
            r.result[place + static_cast<size_t>(h)] += one.weight * one.value[h];
            one.value_gradient[h] += one.weight * c.direction[place + static_cast<size_t>(h)];
          }
          mean += one.weight * dot(one.value, &c.direction[place], H);
        }
        for (const Seen& one : seen) {
          const double gradient = one.weight * (dot(one.value, &c.direction[place], H) - mean);
          if (one.bias_gradient != nullptr) *one.bias_gradient += gradient;
          for (int64_t h = 0; h < H; ++h) {
            r.query[place + static_cast<size_t>(h)] += scale * gradient * one.key[h];
            one.key_gradient[h] += scale * gradient * query[h];
          }
        }
      }
  return r;
}

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
    const WindowCase c = window_case();
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
