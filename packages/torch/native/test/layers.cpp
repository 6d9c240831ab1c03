// Linear maps, feed-forward, LayerNorm and GELU against plain loops, in every instruction set of this processor, under sanitizers:
// memory is as large as the numbers in it.
//
// Shape letters: M tokens, I inputs, O outputs, F inner width, D width of a norm.
#include "plain.h"

namespace {

// (rows, columns) times the transpose of (count, columns), plus a bias (count).
Numbers mapped(const Numbers& x, int64_t columns, const Numbers& weight, const Numbers& bias) {
  const int64_t rows = static_cast<int64_t>(x.size()) / columns, count = static_cast<int64_t>(bias.size());
  Numbers y(static_cast<size_t>(rows * count));
  for (int64_t m = 0; m < rows; ++m)
    for (int64_t o = 0; o < count; ++o)
      y[static_cast<size_t>(m * count + o)] =
          dot(x.data() + m * columns, weight.data() + o * columns, columns) + bias[static_cast<size_t>(o)];
  return y;
}

template <class T>
std::vector<T> packed(const LinearKernels<T>& kernels, const std::vector<T>& weight, int64_t outputs, int64_t inputs, bool across) {
  std::vector<T> to(static_cast<size_t>(across ? kernels.packed_size(inputs, outputs) : kernels.packed_size(outputs, inputs)), NAN);
  if (across)
    kernels.pack(to.data(), weight.data(), 1, inputs, inputs, outputs);
  else
    kernels.pack(to.data(), weight.data(), inputs, 1, outputs, inputs);
  return to;
}

template <class T>
std::vector<T> scratch_of(int64_t count) {
  return std::vector<T>(static_cast<size_t>(count), NAN);
}

template <class T>
void check_linear(const std::string& name, const LinearKernels<T>& kernels) {
  const int64_t M = pick({1, 5, 95, 96, 97, 200}), I = pick({1, 3, 16, 24, 64, 100}), O = pick({1, 5, 16, 48, 64, 130});
  const Numbers x = random_numbers(M * I), weight = random_numbers(O * I), bias = random_numbers(O), g = random_numbers(M * O);
  const auto tx = as<T>(x), tw = as<T>(weight), tb = as<T>(bias), tg = as<T>(g);
  std::vector<T> y(static_cast<size_t>(M * O), NAN), dx(static_cast<size_t>(M * I), NAN);
  const auto across = packed(kernels, tw, O, I, true), along = packed(kernels, tw, O, I, false);
  LinearMap<T> map{O, across.data(), tb.data(), y.data(), nullptr, O};
  LinearArguments<T> a{I, tx.data(), I, &map, 1, nullptr, false};
  auto scratch = scratch_of<T>(kernels.scratch(a, false));
  kernels.forward(a, 0, M, scratch.data());
  expect_near(name + " linear", y, mapped(x, I, weight, bias));

  map = {O, along.data(), nullptr, nullptr, tg.data(), O};
  a.input_gradient = dx.data();
  scratch = scratch_of<T>(kernels.scratch(a, true));
  kernels.input_gradient(a, 0, M, scratch.data());
  const int64_t Ip = kernels.packed_size(1, I);
  std::vector<T> dw(static_cast<size_t>(O * Ip)), db(static_cast<size_t>(O));
  const int64_t half = O / 2;
  for (const auto& [first, end] : {std::pair{int64_t{0}, half}, std::pair{half, O}})
    kernels.parameter_gradients(a, {0, first, end, 0, M, dw.data(), db.data()}, scratch.data());
  Numbers ex(static_cast<size_t>(M * I)), ew(static_cast<size_t>(O * Ip)), eb(static_cast<size_t>(O));
  for (int64_t m = 0; m < M; ++m)
    for (int64_t o = 0; o < O; ++o) {
      const double given = g[static_cast<size_t>(m * O + o)];
      eb[static_cast<size_t>(o)] += given;
      for (int64_t i = 0; i < I; ++i) {
        ex[static_cast<size_t>(m * I + i)] += given * weight[static_cast<size_t>(o * I + i)];
        ew[static_cast<size_t>(o * Ip + i)] += given * x[static_cast<size_t>(m * I + i)];
      }
    }
  expect_near(name + " linear input", dx, ex);
  expect_near(name + " linear weight", dw, ew);
  expect_near(name + " linear bias", db, eb);
}

double gelu_of(double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); }

template <class T>
void check_feed_forward(const std::string& name, const LayerKernels<T>& kernels) {
  const int64_t M = pick({1, 96, 130}), I = pick({1, 7, 16, 40}), F = pick({1, 16, 100, 300, 513}), O = pick({1, 16, 30});
  const Numbers x = random_numbers(M * I), first = random_numbers(F * I), first_bias = random_numbers(F),
                second = random_numbers(O * F), second_bias = random_numbers(O);
  const auto tx = as<T>(x), tb = as<T>(first_bias), tc = as<T>(second_bias);
  const auto w = packed(kernels.linear, as<T>(first), F, I, true), v = packed(kernels.linear, as<T>(second), O, F, true);
  std::vector<T> y(static_cast<size_t>(M * O), NAN);
  const FeedForwardArguments<T> a{I, F, O, tx.data(), I, w.data(), v.data(), tb.data(), tc.data(), y.data()};
  auto scratch = scratch_of<T>(kernels.feed_forward.scratch(a));
  kernels.feed_forward.forward(a, 0, M, scratch.data());
  Numbers inner = mapped(x, I, first, first_bias);
  for (double& number : inner) number = gelu_of(number);
  expect_near(name + " feed-forward", y, mapped(inner, F, second, second_bias));
}

template <class T>
void check_norm(const std::string& name, const NormKernels<T>& kernels) {
  const int64_t M = pick({1, 63, 65, 130}), D = pick({2, 5, 16, 17, 64, 100});
  const double epsilon = 1e-5;
  const Numbers x = random_numbers(M * D), weight = random_numbers(D), bias = random_numbers(D), g = random_numbers(M * D);
  Numbers y(x), dx(x), dw(static_cast<size_t>(D)), db(static_cast<size_t>(D));
  for (int64_t m = 0; m < M; ++m) {
    const double *row = x.data() + m * D, *given = g.data() + m * D;
    double mean = 0, variance = 0, sum = 0, along = 0;
    for (int64_t i = 0; i < D; ++i) mean += row[i] / static_cast<double>(D);
    for (int64_t i = 0; i < D; ++i) variance += (row[i] - mean) * (row[i] - mean) / static_cast<double>(D);
    const double factor = 1 / std::sqrt(variance + epsilon);
    for (int64_t i = 0; i < D; ++i) {
      const double normal = (row[i] - mean) * factor, w = weight[static_cast<size_t>(i)];
      y[static_cast<size_t>(m * D + i)] = normal * w + bias[static_cast<size_t>(i)];
      sum += given[i] * w / static_cast<double>(D);
      along += given[i] * w * normal / static_cast<double>(D);
      dw[static_cast<size_t>(i)] += given[i] * normal;
      db[static_cast<size_t>(i)] += given[i];
    }
    for (int64_t i = 0; i < D; ++i)
      dx[static_cast<size_t>(m * D + i)] =
          (given[i] * weight[static_cast<size_t>(i)] - sum - (row[i] - mean) * factor * along) * factor;
  }
  const auto tx = as<T>(x), tw = as<T>(weight), tb = as<T>(bias), tg = as<T>(g);
  std::vector<T> result(x.size(), NAN), means(static_cast<size_t>(M), NAN), factors(means), input(x.size(), NAN),
      weight_gradient(static_cast<size_t>(D)), bias_gradient(weight_gradient);
  const NormArguments<T> a{D,           epsilon,        tx.data(), D, tw.data(), tb.data(), result.data(), means.data(),
                           factors.data(), tg.data(), D,         input.data()};
  kernels.forward(a, 0, M);
  kernels.backward(a, 0, M, weight_gradient.data(), bias_gradient.data());
  expect_near(name + " norm", result, y);
  if (D >= 16 || sizeof(T) == 8) expect_near(name + " norm input", input, dx);  // few numbers make rounding large
  expect_near(name + " norm weight", weight_gradient, dw);
  expect_near(name + " norm bias", bias_gradient, db);
}

template <class T>
void check_gelu(const std::string& name, const GeluKernels<T>& kernels) {
  const int64_t count = pick({1, 15, 16, 100});
  Numbers x = random_numbers(count), y(x), dx(x);
  const Numbers g = random_numbers(count);
  for (size_t i = 0; i < x.size(); ++i) {
    y[i] = gelu_of(x[i]);
    dx[i] = g[i] * (0.5 * std::erfc(-x[i] / std::sqrt(2.0)) + x[i] * std::exp(-x[i] * x[i] / 2) * 0.3989422804014326779);
  }
  const auto tx = as<T>(x), tg = as<T>(g);
  std::vector<T> result(x.size(), NAN), input(x.size(), NAN);
  kernels.forward(result.data(), tx.data(), count);
  kernels.backward(input.data(), tx.data(), tg.data(), count);
  expect_near(name + " gelu", result, y);
  expect_near(name + " gelu input", input, dx);
}

template <class T>
void check_layers(const std::string& name, const LayerKernels<T>& kernels) {
  check_linear(name, kernels.linear);
  check_feed_forward(name, kernels);
  check_norm(name, kernels.norm);
  check_gelu(name, kernels.gelu);
}

}  // namespace

int main() {
  const std::vector<InstructionSet> sets = available_sets();
  constexpr int kCases = 60;
  for (int i = 0; i < kCases; ++i)
    for (const InstructionSet& set : sets) {
      const std::string name = std::string(set.name) + ", case " + std::to_string(i);
      check_layers(name + ", float32", set.layers32);
      check_layers(name + ", float64", set.layers64);
    }
  std::printf("%d cases of layers in %zu instruction sets: as the plain loops\n", kCases, sets.size());
}
