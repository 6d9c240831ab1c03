// Sums gradients over the processes of a group while the backward pass still makes others.
//
// Parameters lie in buckets, in the order in which their gradients come. A bucket is one flat tensor: the gradients one after the
// other, then a 1 for every parameter that has one, so that one unused everywhere stays without. When the last gradient of a bucket is
// there, and the buckets before it are on their way, its sum is begun; `finish` waits and lets every gradient be a view of the sum.
//
// The first pass shows in which order gradients come, and how often one is added to in a pass (more than once where blocks are computed
// again, each with a backward pass of its own): its buckets are laid out when it is over, as the first process saw it, and leave then. The
// order of registration would not do: gradients of what a forward pass computes ahead for all layers, such as keys of
// positions, come last. The order is a matter of the model alone, and buckets leave in theirs in every process, so the sums are the
// same, bit by bit, each time and after a restart too.
#include "distributed.h"

#ifdef TLS_DISTRIBUTED
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>

namespace tls {
namespace {

class GradientBuckets {
 public:
  GradientBuckets(GroupPointer group, std::vector<at::Tensor> parameters, int64_t most_bytes)
      : group_(std::move(group)), parameters_(std::move(parameters)), most_bytes_(most_bytes), places_(parameters_.size()) {
    for (size_t i = 0; i < parameters_.size(); ++i) watch(i);
  }

  ~GradientBuckets() {
    for (Watched& one : watched_) one.accumulator->del_post_hook(one.hook);
  }

  // Known after the first pass.
  size_t count() const { return buckets_.size(); }

  // The next backward passes, until `finish`, make the gradients that are summed.
  void begin(bool early) {
    std::lock_guard<std::mutex> lock(mutex_);
    active_ = true;
    early_ = early && is_laid_out();
    next_ = 0;
    arrivals_ = 0;
    for (Place& place : places_) place.seen = 0;
    for (Bucket& bucket : buckets_) bucket.waiting_for = waiting(bucket);
  }

  // Returns how many buckets had left before the backward pass was over.
  int64_t finish() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!active_) bad_argument("the gradients of no pass are being summed");
    active_ = false;
    if (!is_laid_out()) lay_out();
    int64_t early = static_cast<int64_t>(next_);
    while (next_ < buckets_.size()) leave(buckets_[next_++]);
    for (Bucket& bucket : buckets_) arrive(bucket);
    return early;
  }

 private:
  struct Place {
    size_t bucket = 0;
    int64_t offset = 0;
    int64_t flag = 0;
    size_t arrived = 0;  // when the last one was added, counted in the first pass; 0: none was
    int seen = 0;      // gradients added in this pass
    int expected = 0;  // in every pass
    bool own = false;  // whether this process had a gradient
  };
  struct Bucket {
    std::vector<size_t> members;
    int64_t elements = 0;
    at::Tensor flat;
    size_t waiting_for = 0;
    c10::intrusive_ptr<c10d::Work> work;
  };
  using Accumulator = decltype(torch::autograd::impl::grad_accumulator(std::declval<const at::Tensor&>()));
  struct Watched {
    Accumulator accumulator;  // held: a parameter holds it weakly, and the hook goes with it
    uintptr_t hook;
  };

  struct Hook : torch::autograd::FunctionPostHook {
    Hook(GradientBuckets* owner, size_t parameter) : owner(owner), parameter(parameter) {}
    std::vector<at::Tensor> operator()(const std::vector<at::Tensor>& outputs, const std::vector<at::Tensor>&) override {
      owner->added(parameter);
      return outputs;
    }
    GradientBuckets* owner;
    size_t parameter;
  };

  bool is_laid_out() const { return !buckets_.empty() || parameters_.empty(); }

  void lay_out() {
    for (Place& place : places_) place.expected = place.seen;
    for (int64_t parameter : order_of_first_process()) place(static_cast<size_t>(parameter));
    for (Bucket& bucket : buckets_) {
      int64_t flags = static_cast<int64_t>(bucket.members.size());
      bucket.flat = at::zeros({bucket.elements + flags}, parameters_[bucket.members[0]].options().requires_grad(false));
    }
  }

  // By arrival, then those that did not come.
  std::vector<int64_t> order_of_first_process() {
    c10::NoGradGuard no_grad;
    std::vector<int64_t> order(parameters_.size());
    std::iota(order.begin(), order.end(), 0);
    auto arrival = [this](int64_t i) { return places_[i].arrived == 0 ? std::numeric_limits<size_t>::max() : places_[i].arrived; };
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return arrival(a) < arrival(b); });
    std::vector<at::Tensor> tensors{at::tensor(order).to(parameters_[0].device())};
    if (!group_->broadcast(tensors)->wait()) throw BridgeError(Fault::kTorch, "the exchange of the order was aborted");
    at::Tensor found = tensors[0].to(at::kCPU);
    const int64_t* first = found.data_ptr<int64_t>();
    return {first, first + found.numel()};
  }

  void place(size_t parameter) {
    const at::Tensor& tensor = parameters_[parameter];
    bool fits = false;
    if (!buckets_.empty()) {
      const at::Tensor& first = parameters_[buckets_.back().members[0]];
      int64_t bytes = (buckets_.back().elements + tensor.numel()) * static_cast<int64_t>(tensor.element_size());
      fits = bytes <= most_bytes_ && first.scalar_type() == tensor.scalar_type() && first.device() == tensor.device();
    }
    if (!fits) buckets_.emplace_back();
    Bucket& bucket = buckets_.back();
    Place& place = places_[parameter];
    place.bucket = buckets_.size() - 1;
    place.offset = bucket.elements;
    place.flag = static_cast<int64_t>(bucket.members.size());
    bucket.members.push_back(parameter);
    bucket.elements += tensor.numel();
  }

  void watch(size_t parameter) {
    auto accumulator = torch::autograd::impl::grad_accumulator(parameters_[parameter]);
    if (!accumulator) bad_argument("expected leaves that require grad");
    uintptr_t hook = accumulator->add_post_hook(std::make_unique<Hook>(this, parameter));
    watched_.push_back({std::move(accumulator), hook});
  }

  // Where a parameter had no gradient in the first pass nobody knows when all are there: the bucket stays until the end.
  size_t waiting(const Bucket& bucket) const {
    for (size_t member : bucket.members)
      if (places_[member].expected == 0) return std::numeric_limits<size_t>::max();
    return bucket.members.size();
  }

  // Called in the backward pass, perhaps on a thread of a GPU's.
  void added(size_t parameter) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!active_) return;
    Place& place = places_[parameter];
    place.seen += 1;
    if (!is_laid_out()) place.arrived = ++arrivals_;
    if (!early_) return;
    if (place.bucket < next_)
      throw BridgeError(Fault::kTorch, "a gradient came after its sum was begun: the passes of this model are not alike");
    if (place.seen == place.expected) buckets_[place.bucket].waiting_for -= 1;
    while (next_ < buckets_.size() && buckets_[next_].waiting_for == 0) leave(buckets_[next_++]);
  }

  void leave(Bucket& bucket) {
    c10::NoGradGuard no_grad;
    std::vector<double> flags(bucket.members.size(), 0);
    for (size_t member : bucket.members) {
      Place& place = places_[member];
      const at::Tensor& gradient = parameters_[member].grad();
      at::Tensor into = bucket.flat.narrow(0, place.offset, parameters_[member].numel());
      place.own = gradient.defined();
      if (place.own) {
        into.view(parameters_[member].sizes()).copy_(gradient);
        flags[place.flag] = 1;
      } else {
        into.zero_();
      }
    }
    bucket.flat.narrow(0, bucket.elements, static_cast<int64_t>(flags.size())).copy_(at::tensor(flags));
    std::vector<at::Tensor> tensors{bucket.flat};
    bucket.work = group_->allreduce(tensors);
  }

  void arrive(Bucket& bucket) {
    c10::NoGradGuard no_grad;
    if (!bucket.work->wait()) throw BridgeError(Fault::kTorch, "the sum of the gradients was aborted");
    bucket.work.reset();
    for (size_t member : bucket.members) {
      Place& place = places_[member];
      // The flag is read only where this process has no gradient: on a GPU reading waits for it.
      if (!place.own && bucket.flat[bucket.elements + place.flag].item<double>() == 0) continue;
      const at::Tensor& parameter = parameters_[member];
      parameter.mutable_grad() = bucket.flat.narrow(0, place.offset, parameter.numel()).view(parameter.sizes());
    }
  }

  GroupPointer group_;
  std::vector<at::Tensor> parameters_;
  const int64_t most_bytes_;
  std::vector<Place> places_;
  std::vector<Bucket> buckets_;
  std::vector<Watched> watched_;
  std::mutex mutex_;
  size_t next_ = 0;  // the bucket that leaves next
  size_t arrivals_ = 0;
  bool active_ = false;
  bool early_ = false;
};

// Left to the end of the process where they are not closed, as groups are.
std::map<int64_t, std::unique_ptr<GradientBuckets>>& open_buckets() {
  static auto* table = new std::map<int64_t, std::unique_ptr<GradientBuckets>>();
  return *table;
}
std::mutex open_mutex;
int64_t last_number = 0;

GradientBuckets& buckets_at(int64_t id) {
  std::lock_guard<std::mutex> lock(open_mutex);
  auto found = open_buckets().find(id);
  if (found == open_buckets().end()) bad_argument("expected open gradient buckets, received number " + std::to_string(id));
  return *found->second;
}

// openBuckets(group, parameters, bytes of a bucket): its number.
napi_value open(napi_env env, const Arguments& arguments) {
  std::vector<at::Tensor> parameters = arguments.tensors(1);
  for (const at::Tensor& one : parameters)
    if (!one.is_leaf() || !one.requires_grad()) bad_argument("expected leaves that require grad");
  auto made = std::make_unique<GradientBuckets>(group_at(arguments.integer(0)), std::move(parameters), arguments.integer(2));
  std::lock_guard<std::mutex> lock(open_mutex);
  open_buckets()[++last_number] = std::move(made);
  return make_integer(env, last_number);
}

// beginBuckets(id, early)
napi_value begin(napi_env env, const Arguments& arguments) {
  buckets_at(arguments.integer(0)).begin(arguments.boolean(1));
  return make_undefined(env);
}

// finishBuckets(id): { buckets, early }: how many there are, and how many had left before the backward pass was over.
napi_value finish(napi_env env, const Arguments& arguments) {
  GradientBuckets& found = buckets_at(arguments.integer(0));
  int64_t early = found.finish();
  napi_value result = make_object(env);
  set_property(env, result, "buckets", make_integer(env, static_cast<int64_t>(found.count())));
  set_property(env, result, "early", make_integer(env, early));
  return result;
}

napi_value close(napi_env env, const Arguments& arguments) {
  std::lock_guard<std::mutex> lock(open_mutex);
  open_buckets().erase(arguments.integer(0));
  return make_undefined(env);
}

}  // namespace

void export_gradient_buckets(napi_env env, napi_value exports) {
  TLS_EXPORT(env, exports, "openBuckets", open);
  TLS_EXPORT(env, exports, "beginBuckets", begin);
  TLS_EXPORT(env, exports, "finishBuckets", finish);
  TLS_EXPORT(env, exports, "closeBuckets", close);
}

}  // namespace tls

#else

namespace tls {
void export_gradient_buckets(napi_env, napi_value) {}
}  // namespace tls
#endif
