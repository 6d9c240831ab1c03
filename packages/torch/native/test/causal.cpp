// The loops of causal attention without libtorch, against plain ones, in memory of exactly the size that is needed: what
// `npm run check:kernels` runs under the sanitizers of addresses and of undefined behaviour.
//
// Shape letters: B batch, T queries, K window keys, N heads, H head size, W window, C slots, P ids.
#include "plain.h"

namespace {

// Inputs, or gradients of them, (B or 1, tokens, N, H) each; biases are of one token.
enum Part { kQuery, kKey, kValue, kWindowBias, kPositionBias, kPositions, kSlotKey, kSlotValue, kSlotPositions, kParts };
const char* const kNames[kParts] = {"query",     "key",      "value",      "window bias",   "position bias",
                                    "positions", "slot key", "slot value", "slot positions"};

struct CausalCase {
  CausalShape shape;
  Numbers inputs[kParts], direction;
};

int64_t slots_before(const CausalShape& s, int64_t query) {
  return (s.remembered + (s.offset + query) / s.chunk_size) * s.rank;
}

CausalCase causal_case() {
  CausalCase c;
  CausalShape& s = c.shape;
  s = {};
  s.batch = pick({1, 2});
  s.heads = pick({1, 2});
  s.head_size = pick({1, 5, 16, 20, 64});
  s.queries = pick({1, 2, 9, 64, 65, 130, 600});
  s.before = pick({0, 1, 5, 40, 300});
  s.window = std::min(s.before + s.queries, pick({1, 2, 5, 16, 17, 40, 300}));
  s.chunk_size = pick({1, 2, 3, 7, 16, 100, 513});
  s.rank = pick({1, 2, 3});
  s.offset = pick({0, 1, s.chunk_size - 1}) % s.chunk_size;
  s.remembered = pick({0, 1, 2, 7, 40});
  s.reach = pick({0, 1, 3, 10, 64, 1000});
  const int64_t seen = slots_before(s, s.queries - 1);
  const bool chunks = seen < 500 && pick({0, 1, 1}) == 1;
  s.slots = chunks ? seen + pick({0, 3}) : 0;
  s.ids = chunks ? std::min(s.reach, seen) + pick({0, 4}) : 0;
  const int64_t row = s.heads * s.head_size, keys = s.before + s.queries;
  const int64_t counts[kParts] = {s.batch * s.queries, s.batch * keys,    s.batch * keys,    1, 1, s.window,
                                  s.batch * s.slots,   s.batch * s.slots, s.ids};
  for (int part = 0; part < kParts; ++part) c.inputs[part] = random_numbers(counts[part] * row);
  c.direction = random_numbers(s.batch * s.queries * row);
  return c;
}

struct CausalResults {
  Numbers result, gradients[kParts];
};

// One query and one key after another.
CausalResults plain_causal(const CausalCase& c, double scale) {
  const CausalShape& s = c.shape;
  const int64_t H = s.head_size, N = s.heads;
  CausalResults r;
  r.result.resize(c.direction.size());
  for (int part = 0; part < kParts; ++part) r.gradients[part].resize(c.inputs[part].size());
  // A key is the sum of numbers, each of which meets the query and one bias, or none.
  struct Term {
    Part part, bias;
    size_t place;
  };
  struct Seen {
    std::vector<Term> terms;
    Part value;
    size_t place;
    double weight;
  };
  for (int64_t b = 0; b < s.batch; ++b)
    for (int64_t n = 0; n < N; ++n)
      for (int64_t t = 0; t < s.queries; ++t) {
        const auto at = [&](int64_t batch, int64_t token, int64_t tokens) {
          return static_cast<size_t>(((batch * tokens + token) * N + n) * H);
        };
        const size_t own = at(b, t, s.queries), bias = at(0, 0, 1);
        const double* query = &c.inputs[kQuery][own];
        std::vector<Seen> seen;
        for (int64_t distance = 0; distance < s.window && distance <= s.before + t; ++distance) {
          const size_t place = at(b, s.before + t - distance, s.before + s.queries);
          const size_t position = at(0, s.window - 1 - distance, s.window);
          seen.push_back({{{kKey, kWindowBias, place}, {kPositions, kPositionBias, position}}, kValue, place, 0});
        }
        const int64_t end = s.slots == 0 ? 0 : slots_before(s, t);
        for (int64_t id = 0; id < s.reach && id < end; ++id) {
          const size_t place = at(b, end - 1 - id, s.slots), position = at(0, s.ids - 1 - id, s.ids);
          seen.push_back({{{kSlotKey, kParts, place}, {kSlotPositions, kParts, position}}, kSlotValue, place, 0});
        }
        double largest = -INFINITY, sum = 0, mean = 0;
        for (Seen& one : seen) {
          for (const Term& term : one.terms) {
            const double* key = &c.inputs[term.part][term.place];
            one.weight += scale * dot(query, key, H);
            if (term.bias != kParts) one.weight += dot(&c.inputs[term.bias][bias], key, H);
          }
          largest = std::max(largest, one.weight);
        }
        for (Seen& one : seen) sum += one.weight = std::exp(one.weight - largest);
        for (Seen& one : seen) {
          one.weight /= sum;
          const double* value = &c.inputs[one.value][one.place];
          for (size_t h = 0; h < static_cast<size_t>(H); ++h) {
            r.result[own + h] += one.weight * value[h];
            r.gradients[one.value][one.place + h] += one.weight * c.direction[own + h];
          }
          mean += one.weight * dot(value, &c.direction[own], H);
        }
        for (const Seen& one : seen) {
          const double gradient = one.weight * (dot(&c.inputs[one.value][one.place], &c.direction[own], H) - mean);
          for (const Term& term : one.terms)
            for (size_t h = 0; h < static_cast<size_t>(H); ++h) {
              const double key = c.inputs[term.part][term.place + h];
              double met = scale * query[h];
              if (term.bias != kParts) {
                met += c.inputs[term.bias][bias + h];
                r.gradients[term.bias][bias + h] += gradient * key;
              }
              r.gradients[kQuery][own + h] += gradient * scale * key;
              r.gradients[term.part][term.place + h] += gradient * met;
            }
        }
      }
  return r;
}

template <class T>
void check_causal(const std::string& name, const CausalKernels<T>& kernels, const CausalCase& c) {
  const CausalShape& s = c.shape;
  const int64_t N = s.heads, H = s.head_size, T_ = s.queries, K = s.before + s.queries;
  const double scale = 0.3;
  const CausalResults expected = plain_causal(c, scale);
  std::vector<T> in[kParts], gradients[kParts];
  for (int part = 0; part < kParts; ++part) {
    in[part] = as<T>(c.inputs[part]);
    gradients[part].resize(in[part].size());
  }
  auto direction = as<T>(c.direction);
  std::vector<T> result(direction.size());
  std::vector<Softmax<T>> softmaxes(static_cast<size_t>(s.batch * N * T_));
  CausalArguments<T> a{};
  a.shape = s;
  a.scale = scale;
  a.softmaxes = softmaxes.data();
  a.query = rows<const T>(in[kQuery], T_, N, H);
  a.key = rows<const T>(in[kKey], K, N, H);
  a.value = rows<const T>(in[kValue], K, N, H);
  a.window_bias = in[kWindowBias].data();
  a.position_bias = in[kPositionBias].data();
  a.positions = rows<const T>(in[kPositions], s.window, N, H);
  a.slot_key = rows<const T>(in[kSlotKey], s.slots, N, H);
  a.slot_value = rows<const T>(in[kSlotValue], s.slots, N, H);
  a.slot_positions = rows<const T>(in[kSlotPositions], s.ids, N, H);
  a.result = rows<T>(result, T_, N, H);
  a.result_gradient = rows<const T>(direction, T_, N, H);
  a.query_gradient = rows<T>(gradients[kQuery], T_, N, H);
  a.key_gradient = rows<T>(gradients[kKey], K, N, H);
  a.value_gradient = rows<T>(gradients[kValue], K, N, H);
  a.window_bias_gradient = gradients[kWindowBias].data();
  a.position_bias_gradient = gradients[kPositionBias].data();
  a.positions_gradient = rows<T>(gradients[kPositions], s.window, N, H);
  a.slot_key_gradient = rows<T>(gradients[kSlotKey], s.slots, N, H);
  a.slot_value_gradient = rows<T>(gradients[kSlotValue], s.slots, N, H);
  a.slot_positions_gradient = rows<T>(gradients[kSlotPositions], s.ids, N, H);
  // NaN, so that what is read before it is written shows.
  std::vector<T> forward(static_cast<size_t>(kernels.scratch(s, false)), NAN);
  std::vector<T> backward(static_cast<size_t>(kernels.scratch(s, true)), NAN);
  for (int64_t b = 0; b < s.batch; ++b)
    for (int64_t n = 0; n < N; ++n) {
      kernels.forward(a, b, n, 0, kernels.strips(s), forward.data());
      kernels.backward(a, b, n, 0, kernels.strips(s), backward.data());
    }
  expect_near(name + " result", result, expected.result);
  for (int part = 0; part < kParts; ++part) expect_near(name + " " + kNames[part], gradients[part], expected.gradients[part]);
}

}  // namespace

int main() {
  const std::vector<InstructionSet> sets = available_sets();
  constexpr int kCases = 60;
  for (int i = 0; i < kCases; ++i) {
    const CausalCase c = causal_case();
    for (const InstructionSet& set : sets) {
      const std::string name = std::string(set.name) + ", case " + std::to_string(i);
      check_causal(name + ", float32", set.float32.causal, c);
      check_causal(name + ", float64", set.float64.causal, c);
    }
  }
  std::printf("%d causal cases in %zu instruction sets: as the plain loops\n", kCases, sets.size());
}
