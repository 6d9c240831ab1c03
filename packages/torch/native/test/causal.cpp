// The loops of causal attention without libtorch, against plain ones, in memory of exactly the size that is needed: what
// `npm run check:kernels` runs under the sanitizers of addresses and of undefined behaviour.
//
// Shape letters: B batch, T queries, K window keys, N heads, H head size, W window, C slots, P ids.
#include "plain_causal.h"

namespace {

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
  a.dropout = c.dropout;
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
    const CausalCase c = causal_case(600);
    for (const InstructionSet& set : sets) {
      const std::string name = std::string(set.name) + ", case " + std::to_string(i);
      check_causal(name + ", float32", set.float32.causal, c);
      check_causal(name + ", float64", set.float64.causal, c);
    }
  }
  std::printf("%d causal cases in %zu instruction sets: as the plain loops\n", kCases, sets.size());
}
