// One sequence spread over the processes of a group, a stretch of neighbouring tokens in each: operators, with their gradients, for what of
// it one process needs of the others. Every process must come to the same operators in the same order, forward and backward; their
// graphs are alike, so the autograd engine brings them there.
//
// Shape letters: B batch, n tokens of this process, N heads, H head size, R slots.
#include "distributed.h"

#ifdef TLS_DISTRIBUTED
#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "kernels/tensors.h"

namespace tls {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

void finish(const c10::intrusive_ptr<c10d::Work>& work) {
  TORCH_CHECK(work->wait(), "an operation between processes was aborted");
}

// Gloo knows no bfloat16 (in torch 1.13), and sums of halves over many processes are worth more digits.
at::ScalarType summed_type(at::ScalarType type) { return type == at::kHalf || type == at::kBFloat16 ? at::kFloat : type; }

// The sum or largest over all processes; a new tensor.
Tensor reduced(const GroupPointer& group, const Tensor& own, c10d::ReduceOp::RedOpType operation) {
  Tensor flat = own.to(summed_type(own.scalar_type())).contiguous();
  if (flat.is_same(own) || flat.is_alias_of(own)) flat = flat.clone();
  c10d::AllreduceOptions options;
  options.reduceOp = operation;
  std::vector<Tensor> tensors{flat};
  if (flat.numel() > 0) finish(group->allreduce(tensors, options));
  return flat.to(own.scalar_type());
}

Tensor sum_of(const GroupPointer& group, const Tensor& own) { return reduced(group, own, c10d::ReduceOp::SUM); }

// ---- stretches and their neighbours --------------------------------------------------------------------------------

struct Rows {
  int64_t first;
  int64_t count;
};

constexpr int64_t kMostRows = int64_t{1} << 48;

// Which process holds which rows of the sequence, and which it wants of those before and behind its own.
class Stretches {
 public:
  Stretches(const std::vector<int64_t>& lengths, int64_t before, int64_t after) : starts_{0} {
    for (int64_t length : lengths) {
      TORCH_CHECK(length >= 0, "expected lengths of at least 0, received ", length);
      TORCH_CHECK(length <= kMostRows - starts_.back(), "expected lengths of at most ", kMostRows, " together");
      starts_.push_back(starts_.back() + length);
    }
    TORCH_CHECK(before >= 0 && after >= 0, "expected rows before and after of at least 0, received ", before, " and ", after);
    // No more than there are: sums with them stay in range.
    before_ = std::min(before, starts_.back());
    after_ = std::min(after, starts_.back());
  }

  int64_t length(int rank) const { return starts_[rank + 1] - starts_[rank]; }
  int64_t before(int rank) const { return starts_[rank] - first_wanted(rank); }
  int64_t wanted(int rank) const { return last_wanted(rank) - first_wanted(rank); }

  // Rows of `owner` that `reader` wants, counted from the start of the owner's; and where they lie in the reader's extended stretch.
  Rows owned(int owner, int reader) const {
    int64_t first = std::max(starts_[owner], first_wanted(reader)), last = std::min(starts_[owner + 1], last_wanted(reader));
    return first < last ? Rows{first - starts_[owner], last - first} : Rows{0, 0};
  }
  Rows read(int owner, int reader) const {
    Rows rows = owned(owner, reader);
    return rows.count > 0 ? Rows{rows.first + starts_[owner] - first_wanted(reader), rows.count} : Rows{0, 0};
  }

 private:
  int64_t first_wanted(int rank) const { return std::max<int64_t>(0, starts_[rank] - before_); }
  int64_t last_wanted(int rank) const { return std::min(starts_.back(), starts_[rank + 1] + after_); }

  int64_t before_, after_;
  std::vector<int64_t> starts_;
};

// Messages between pairs of processes, begun in one order that all share: pairs by their lower, then their higher number, and of each
// pair first what the lower one sends. Thus no two processes wait for each other where operations of a pair run in the order in
// which they were begun, as NCCL's do. Sizes are known on both sides.
//
// out(other): what goes to another process; in(other): where what comes from it is put. Undefined or empty: nothing.
template <class Out, class In>
void exchange(const GroupPointer& group, Out out, In in) {
  const int rank = group->getRank(), world = group->getSize();
  std::vector<Tensor> alive;
  std::vector<c10::intrusive_ptr<c10d::Work>> works;
  const auto send = [&](int other) {
    Tensor tensor = out(other);
    if (!tensor.defined() || tensor.numel() == 0) return;
    alive.push_back(tensor.contiguous());
    std::vector<Tensor> one{alive.back()};
    works.push_back(group->send(one, other, 0));
  };
  const auto receive = [&](int other) {
    Tensor tensor = in(other);
    if (!tensor.defined() || tensor.numel() == 0) return;
    alive.push_back(tensor);
    std::vector<Tensor> one{tensor};
    works.push_back(group->recv(one, other, 0));
  };
  for (int other = 0; other < world; ++other) {
    if (other == rank) continue;
    if (rank < other) {
      send(other);
      receive(other);
    } else {
      receive(other);
      send(other);
    }
  }
  for (const auto& work : works) finish(work);
}

Tensor rows_at(const Tensor& x, Rows rows) { return x.narrow(1, rows.first, rows.count); }

// Tensors that travel together, each with rows of its own sequence: one node of the graph, which every process comes to in its backward
// pass even where it used only some of them.
struct Spread {
  GroupPointer group;
  std::vector<Stretches> stretches;  // of each tensor
};

// out(i, other), in(i, other) of tensor i.
template <class Out, class In>
void exchange_each(const Spread& spread, Out out, In in) {
  for (size_t i = 0; i < spread.stretches.size(); ++i)
    exchange(
        spread.group, [&](int other) { return out(i, other); }, [&](int other) { return in(i, other); });
}

// (B, n, …) → (B, before + n + after, …): the own rows between those of the neighbours, as many as there are.
variable_list extend(const Spread& spread, const variable_list& xs) {
  const int rank = spread.group->getRank(), world = spread.group->getSize();
  std::vector<std::vector<Tensor>> received(xs.size(), std::vector<Tensor>(world));
  const auto rows_like = [](const Tensor& x, int64_t count) {
    std::vector<int64_t> sizes = x.sizes().vec();
    sizes[1] = count;
    return at::empty(sizes, x.options());
  };
  exchange_each(
      spread, [&](size_t i, int reader) { return rows_at(xs[i], spread.stretches[i].owned(rank, reader)); },
      [&](size_t i, int owner) { return received[i][owner] = rows_like(xs[i], spread.stretches[i].owned(owner, rank).count); });
  variable_list all;
  for (size_t i = 0; i < xs.size(); ++i) {
    const Stretches& stretches = spread.stretches[i];
    Tensor extended = rows_like(xs[i], stretches.wanted(rank));
    rows_at(extended, {stretches.before(rank), xs[i].size(1)}).copy_(xs[i]);
    for (int owner = 0; owner < world; ++owner)
      if (owner != rank) rows_at(extended, stretches.read(owner, rank)).copy_(received[i][owner]);
    all.push_back(extended);
  }
  return all;
}

// Its transpose: gradients of the rows that others read come home, and are added in the order of the processes.
variable_list gather_home(const Spread& spread, const variable_list& gradients) {
  const int rank = spread.group->getRank(), world = spread.group->getSize();
  std::vector<std::vector<Tensor>> received(gradients.size(), std::vector<Tensor>(world));
  exchange_each(
      spread, [&](size_t i, int owner) { return rows_at(gradients[i], spread.stretches[i].read(owner, rank)); },
      [&](size_t i, int reader) {
        std::vector<int64_t> sizes = gradients[i].sizes().vec();
        sizes[1] = spread.stretches[i].owned(rank, reader).count;
        return received[i][reader] = at::empty(sizes, gradients[i].options());
      });
  variable_list own;
  for (size_t i = 0; i < gradients.size(); ++i) {
    const Stretches& stretches = spread.stretches[i];
    own.push_back(rows_at(gradients[i], {stretches.before(rank), stretches.length(rank)}).clone());
    for (int reader = 0; reader < world; ++reader)
      if (reader != rank) rows_at(own[i], stretches.owned(rank, reader)).add_(received[i][reader]);
  }
  return own;
}

// Tensors that an autograd function takes are arguments of their own.
constexpr size_t kMostTogether = 4;

// lengths: those of all processes for the first tensor, then for the next; before and after: one each.
Spread spread_of(int64_t group, const std::vector<int64_t>& lengths, const std::vector<int64_t>& before,
                 const std::vector<int64_t>& after) {
  Spread spread{group_at(group), {}};
  const size_t world = spread.group->getSize();
  TORCH_CHECK(after.size() == before.size() && lengths.size() == world * before.size(), "expected ", world,
              " lengths for each tensor, received ", lengths.size(), " for ", before.size());
  for (size_t i = 0; i < before.size(); ++i)
    spread.stretches.emplace_back(std::vector<int64_t>(lengths.begin() + i * world, lengths.begin() + (i + 1) * world), before[i],
                                  after[i]);
  return spread;
}

class Extend : public torch::autograd::Function<Extend> {
 public:
  static variable_list forward(AutogradContext* context, const OptionalTensor& a, const OptionalTensor& b, const OptionalTensor& c,
                               const OptionalTensor& d, int64_t group, const std::vector<int64_t>& lengths,
                               const std::vector<int64_t>& before, const std::vector<int64_t>& after) {
    context->saved_data["group"] = group;
    context->saved_data["lengths"] = lengths;
    context->saved_data["before"] = before;
    context->saved_data["after"] = after;
    variable_list xs;
    for (const OptionalTensor* one : {&a, &b, &c, &d})
      if (*one) xs.push_back(**one);
    return extend(spread_of(group, lengths, before, after), xs);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    check_first_derivative("extend_over_processes");
    auto& data = context->saved_data;
    const Spread spread = spread_of(data["group"].toInt(), data["lengths"].toIntVector(), data["before"].toIntVector(),
                                    data["after"].toIntVector());
    variable_list own = gather_home(spread, gradients);
    own.resize(kMostTogether + 4);
    return own;
  }
};

variable_list extend_over_processes(at::TensorList xs, int64_t group, at::IntArrayRef lengths, at::IntArrayRef before,
                                    at::IntArrayRef after) {
  TORCH_CHECK(!xs.empty() && xs.size() <= kMostTogether && xs.size() == before.size(), "expected 1 to ", kMostTogether,
              " tensors with rows before and after each, received ", xs.size());
  const Spread spread = spread_of(group, lengths.vec(), before.vec(), after.vec());
  for (size_t i = 0; i < xs.size(); ++i) {
    const int64_t own = spread.stretches[i].length(spread.group->getRank());
    TORCH_CHECK(xs[i].dim() >= 2 && xs[i].size(1) == own, "expected ", own, " rows along axis 1, received shape ", xs[i].sizes());
  }
  const auto at = [&](size_t i) { return i < xs.size() ? OptionalTensor(xs[i]) : OptionalTensor(); };
  return Extend::apply(at(0), at(1), at(2), at(3), group, lengths.vec(), before.vec(), after.vec());
}

// ---- sums --------------------------------------------------------------------------------------------------------------

// Every process's loss depends on the sum: its gradient is the sum of theirs.
class Sum : public torch::autograd::Function<Sum> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, int64_t group) {
    context->saved_data["group"] = group;
    return sum_of(group_at(group), x);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    check_first_derivative("sum_over_processes");
    return {sum_of(group_at(context->saved_data["group"].toInt()), gradients[0]), {}};
  }
};

Tensor sum_over_processes(const Tensor& x, int64_t group) { return Sum::apply(x, group); }

// Without a gradient: what a softmax subtracts does not change it.
Tensor largest_over_processes(const Tensor& x, int64_t group) {
  at::NoGradGuard no_grad;
  return reduced(group_at(group), x.detach(), c10d::ReduceOp::MAX);
}

// ---- the dynamic projection --------------------------------------------------------------------------------------------

using PoolForward = std::tuple<Tensor, Tensor, Tensor>(const Tensor&, const Tensor&, const Tensor&, const OptionalTensor&);
using PoolBackward = std::tuple<Tensor, Tensor, Tensor>(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                                        const Tensor&, const Tensor&, const Tensor&, const OptionalTensor&);

struct Pooled {
  Tensor key;    // (B, R, N, H)
  Tensor value;  // (B, R, N, H)
  Tensor log_sums;  // (B, N, R)
};

// What all processes have pooled, of what each has: means by weights that are exponentials of log sums. Where no token is visible, 0.
Pooled merged(const GroupPointer& group, const Pooled& own, const OptionalTensor& visible) {
  Tensor sums = own.log_sums.to(summed_type(own.log_sums.scalar_type()));
  const double nothing = -std::numeric_limits<double>::infinity();
  if (visible) sums = sums.masked_fill(visible->any(1).logical_not().view({-1, 1, 1}), nothing);
  const Tensor largest = reduced(group, sums, c10d::ReduceOp::MAX);
  const Tensor weights = (sums - largest.masked_fill(largest.eq(nothing), 0)).exp();  // 0 where this process has no token
  const Tensor factors = weights.transpose(1, 2).unsqueeze(-1);                         // (B, R, N, 1)
  // One sum for all: keys, values, weights.
  const Tensor all = sum_of(group, at::cat({own.key * factors, own.value * factors, factors}, -1));
  const int64_t H = own.key.size(3);
  const Tensor total = all.narrow(-1, 2 * H, 1);
  const Tensor divisor = total.masked_fill(total.eq(0), 1);
  const auto mean = [&](int64_t first) { return (all.narrow(-1, first, H) / divisor).to(own.key.scalar_type()); };
  const Tensor logs = (divisor.squeeze(-1).transpose(1, 2).log() + largest.masked_fill(largest.eq(nothing), 0));
  return {mean(0), mean(H), logs.to(own.log_sums.scalar_type()).contiguous()};
}

std::tuple<Tensor, Tensor, Tensor> merge_pooled_over_processes(const Tensor& key, const Tensor& value, const Tensor& log_sums,
                                                               const OptionalTensor& visible, int64_t group) {
  Pooled all = merged(group_at(group), {key, value, log_sums}, visible);
  return {all.key.contiguous(), all.value.contiguous(), all.log_sums};
}

// The weights of a process's tokens under the softmax of all follow from the merged log sums, so the backward of one process serves.
class Pool : public torch::autograd::Function<Pool> {
 public:
  static variable_list forward(AutogradContext* context, const Tensor& logits, const Tensor& key, const Tensor& value,
                               const OptionalTensor& visible, int64_t group) {
    static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("tls::pool_tokens_forward", "").typed<PoolForward>();
    at::AutoDispatchBelowADInplaceOrView below;
    auto [own_key, own_value, own_sums] = op.call(logits, key, value, visible);
    const Pooled all = merged(group_at(group), {own_key, own_value, own_sums}, visible);
    context->saved_data["group"] = group;
    context->save_for_backward({logits, key, value, or_none(visible), all.key, all.value, all.log_sums});
    return {all.key, all.value};
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    check_first_derivative("pool_tokens_over_processes");
    static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("tls::pool_tokens_backward", "").typed<PoolBackward>();
    const auto saved = context->get_saved_variables();
    const auto or_zeros = [&](const Tensor& gradient) { return gradient.defined() ? gradient : at::zeros_like(saved[4]); };
    const Tensor both = sum_of(group_at(context->saved_data["group"].toInt()),
                               at::stack({or_zeros(gradients[0]), or_zeros(gradients[1])}));
    auto [dlogits, dkey, dvalue] =
        op.call(both[0], both[1], saved[4], saved[5], saved[6], saved[0], saved[1], saved[2], optional_of(saved[3]));
    return {dlogits, dkey, dvalue, {}, {}};
  }
};

std::tuple<Tensor, Tensor> pool_tokens_over_processes(const Tensor& logits, const Tensor& key, const Tensor& value,
                                                      const OptionalTensor& visible, int64_t group) {
  auto pooled = Pool::apply(logits, key, value, visible, group);
  return {pooled[0], pooled[1]};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(tls, library) {
  library.def("extend_over_processes(Tensor[] xs, int group, int[] lengths, int[] before, int[] after) -> Tensor[]", extend_over_processes);
  library.def("sum_over_processes(Tensor x, int group) -> Tensor", sum_over_processes);
  library.def("largest_over_processes(Tensor x, int group) -> Tensor", largest_over_processes);
  // Parts of a layer that is one operator, without gradients of their own.
  library.def(
      "merge_pooled_over_processes(Tensor key, Tensor value, Tensor log_sums, Tensor? visible, int group) -> (Tensor, Tensor, Tensor)",
      merge_pooled_over_processes);
  library.def(
      "pool_tokens_over_processes(Tensor logits, Tensor key, Tensor value, Tensor? visible, int group) -> (Tensor key, Tensor "
      "value)",
      pool_tokens_over_processes);
}

}  // namespace tls
#endif
