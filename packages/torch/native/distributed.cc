// Many processes, on torch's c10d: stores to meet at, groups, collectives. Everything that waits for another process blocks the calling
// thread, at most for the timeout of its group; what is begun without waiting runs on the group's own threads.
#include "distributed.h"

#ifdef TLS_DISTRIBUTED
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <unistd.h>

#include <map>
#include <mutex>

#include "compat.h"

namespace tls {
namespace {

using StorePointer = c10::intrusive_ptr<c10d::Store>;
using WorkPointer = c10::intrusive_ptr<c10d::Work>;

// Things that are open, by number. Never destroyed with the process: the destructor of a group waits for its threads, and these may be
// waiting for a process that is gone.
template <typename Pointer>
class Open {
 public:
  explicit Open(const char* what) : what_(what) {}

  int64_t add(Pointer one) {
    std::lock_guard<std::mutex> lock(mutex_);
    open_[++last_] = std::move(one);
    return last_;
  }

  Pointer at(int64_t id) {
    std::lock_guard<std::mutex> lock(mutex_);
    auto found = open_.find(id);
    if (found == open_.end()) bad_argument(std::string("expected an open ") + what_ + ", received number " + std::to_string(id));
    return found->second;
  }

  Pointer take(int64_t id) {
    Pointer one = at(id);
    std::lock_guard<std::mutex> lock(mutex_);
    open_.erase(id);
    return one;
  }

 private:
  const char* what_;
  std::mutex mutex_;
  std::map<int64_t, Pointer> open_;
  int64_t last_ = 0;
};

Open<StorePointer>& stores() {
  static auto* table = new Open<StorePointer>("store");
  return *table;
}
Open<GroupPointer>& groups() {
  static auto* table = new Open<GroupPointer>("process group");
  return *table;
}
Open<WorkPointer>& works() {
  static auto* table = new Open<WorkPointer>("operation");
  return *table;
}

std::chrono::milliseconds milliseconds(const Arguments& arguments, size_t index) {
  int64_t value = arguments.integer(index);
  if (value < 1) bad_argument("expected a timeout of at least 1 ms, received " + std::to_string(value));
  return std::chrono::milliseconds(value);
}

int rank_in(const Arguments& arguments, size_t index, const GroupPointer& group) {
  int64_t rank = arguments.integer(index);
  if (rank < 0 || rank >= group->getSize())
    bad_argument("expected a rank below " + std::to_string(group->getSize()) + ", received " + std::to_string(rank));
  return static_cast<int>(rank);
}

// ---- stores ----------------------------------------------------------------------------------------------------
#if TLS_TORCH_AT_LEAST(2, 2)
// A socket that only this machine can reach; a store's own would listen on every address. -1: it cannot be had.
int loopback_listener(uint16_t port) {
  int socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int on = 1;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (socket_ >= 0 && ::setsockopt(socket_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
      ::bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 && ::listen(socket_, SOMAXCONN) == 0)
    return socket_;
  if (socket_ >= 0) ::close(socket_);
  return -1;
}
#endif

// openTcpStore(host, port, isServer, onLoopback, timeout): connects, after opening the port where this process is the server.
napi_value open_tcp_store(napi_env env, const Arguments& arguments) {
  int64_t port = arguments.integer(1);
  if (port < 1 || port > 65535) bad_argument("expected a port from 1 to 65535, received " + std::to_string(port));
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(port);
  options.isServer = arguments.boolean(2);
  options.waitWorkers = false;  // making a group waits for everyone anyway
  options.timeout = milliseconds(arguments, 4);
#if TLS_TORCH_AT_LEAST(2, 2)
  if (options.isServer && arguments.boolean(3)) {
    int listener = loopback_listener(options.port);
    if (listener < 0) throw BridgeError(Fault::kTorch, "port " + std::to_string(port) + " of this machine is taken");
    options.masterListenFd = listener;
  }
#endif
  return make_integer(env, stores().add(c10::make_intrusive<c10d::TCPStore>(arguments.string(0), options)));
}

// openFileStore(path, world): for processes that see the same file; it must be a new one.
napi_value open_file_store(napi_env env, const Arguments& arguments) {
  return make_integer(env, stores().add(c10::make_intrusive<c10d::FileStore>(arguments.string(0), static_cast<int>(arguments.integer(1)))));
}

// prefixStore(store, prefix): the same store, with names of its own.
napi_value prefix_store(napi_env env, const Arguments& arguments) {
  return make_integer(env, stores().add(c10::make_intrusive<c10d::PrefixStore>(arguments.string(1), stores().at(arguments.integer(0)))));
}

napi_value store_set(napi_env env, const Arguments& arguments) {
  std::string text = arguments.string(2);
  stores().at(arguments.integer(0))->set(arguments.string(1), std::vector<uint8_t>(text.begin(), text.end()));
  return make_undefined(env);
}

// storeGet(store, key): its text, or null where nobody has set it; does not wait.
napi_value store_get(napi_env env, const Arguments& arguments) {
  StorePointer store = stores().at(arguments.integer(0));
  std::string key = arguments.string(1);
  if (!store->check({key})) return make_null(env);
  std::vector<uint8_t> bytes = store->get(key);
  return make_string(env, std::string(bytes.begin(), bytes.end()));
}

napi_value close_store(napi_env env, const Arguments& arguments) {
  stores().take(arguments.integer(0));
  return make_undefined(env);
}

// ---- groups ----------------------------------------------------------------------------------------------------
#ifdef USE_C10D_GLOO
GroupPointer make_gloo_group(const GroupOptions& group, const std::string& address, const std::vector<std::string>& interfaces) {
  using Gloo = c10d::ProcessGroupGloo;
  auto options = Gloo::Options::create(group.timeout);
  if (!address.empty()) options->devices.push_back(Gloo::createDeviceForHostname(address));
  for (const std::string& name : interfaces) options->devices.push_back(Gloo::createDeviceForInterface(name));
  if (options->devices.empty()) options->devices.push_back(Gloo::createDefaultDevice());
  options->threads = static_cast<int>(2 * options->devices.size());
  return c10::make_intrusive<Gloo>(group.store, group.rank, group.world, options);
}
#else
GroupPointer make_gloo_group(const GroupOptions&, const std::string&, const std::vector<std::string>&) {
  throw BridgeError(Fault::kTorch, "this libtorch was built without Gloo");
}
#endif

std::vector<std::string> strings(napi_env env, napi_value array) {
  std::vector<std::string> result;
  uint32_t length = array_length(env, array, "an array of strings");
  for (uint32_t i = 0; i < length; ++i) result.push_back(to_string(env, array_element(env, array, i)));
  return result;
}

// openGroup(backend, store, rank, world, timeout, address, interfaces): returns when every process has come.
// Gloo listens on `address`, else on the interfaces named, else where the machine's own name leads.
napi_value open_group(napi_env env, const Arguments& arguments) {
  std::string backend = arguments.string(0);
  int64_t rank = arguments.integer(2), world = arguments.integer(3);
  if (world < 1 || world > 65536 || rank < 0 || rank >= world)
    bad_argument("expected a rank below the number of processes, received " + std::to_string(rank) + " of " + std::to_string(world));
  GroupOptions options{stores().at(arguments.integer(1)), static_cast<int>(rank), static_cast<int>(world), milliseconds(arguments, 4)};
  options.store->setTimeout(options.timeout);
  if (backend == "nccl") return make_integer(env, groups().add(make_nccl_group(options)));
  if (backend != "gloo") bad_argument("expected the backend gloo or nccl, received " + backend);
  auto interfaces = strings(env, arguments.at(6, "an array of interfaces"));
  return make_integer(env, groups().add(make_gloo_group(options, arguments.string(5), interfaces)));
}

// closeGroup(group): for a group without unfinished operations; others are left to the end of the process.
napi_value close_group(napi_env env, const Arguments& arguments) {
  groups().take(arguments.integer(0));
  return make_undefined(env);
}

// ---- collectives: each returns the number of an operation that is under way -------------------------------------
napi_value under_way(napi_env env, WorkPointer work) { return make_integer(env, works().add(std::move(work))); }

const at::Tensor& dense(const at::Tensor& tensor) {
  if (!tensor.is_contiguous()) bad_argument("expected a contiguous tensor");
  return tensor;
}

// broadcast(group, tensor, root)
napi_value broadcast(napi_env env, const Arguments& arguments) {
  GroupPointer group = groups().at(arguments.integer(0));
  std::vector<at::Tensor> tensors{dense(arguments.tensor(1)).detach()};
  c10d::BroadcastOptions options;
  options.rootRank = rank_in(arguments, 2, group);
  return under_way(env, group->broadcast(tensors, options));
}

// allReduce(group, tensor): the sum, in place.
napi_value all_reduce(napi_env env, const Arguments& arguments) {
  GroupPointer group = groups().at(arguments.integer(0));
  std::vector<at::Tensor> tensors{dense(arguments.tensor(1)).detach()};
  return under_way(env, group->allreduce(tensors));
}

// allGather(group, outputs, input): outputs[r] becomes rank r's input.
napi_value all_gather(napi_env env, const Arguments& arguments) {
  GroupPointer group = groups().at(arguments.integer(0));
  std::vector<at::Tensor> found = arguments.tensors(1);
  if (found.size() != static_cast<size_t>(group->getSize()))
    bad_argument("expected " + std::to_string(group->getSize()) + " outputs, received " + std::to_string(found.size()));
  std::vector<std::vector<at::Tensor>> outputs(1);
  for (const at::Tensor& one : found) outputs[0].push_back(dense(one).detach());
  std::vector<at::Tensor> inputs{dense(arguments.tensor(2)).detach()};
  return under_way(env, group->allgather(outputs, inputs));
}

// send(group, tensor, to, tag), receive(group, tensor, from, tag)
napi_value send(napi_env env, const Arguments& arguments) {
  GroupPointer group = groups().at(arguments.integer(0));
  std::vector<at::Tensor> tensors{dense(arguments.tensor(1)).detach()};
  return under_way(env, group->send(tensors, rank_in(arguments, 2, group), static_cast<int>(arguments.integer(3))));
}

napi_value receive(napi_env env, const Arguments& arguments) {
  GroupPointer group = groups().at(arguments.integer(0));
  std::vector<at::Tensor> tensors{dense(arguments.tensor(1)).detach()};
  return under_way(env, group->recv(tensors, rank_in(arguments, 2, group), static_cast<int>(arguments.integer(3))));
}

napi_value barrier(napi_env env, const Arguments& arguments) {
  return under_way(env, groups().at(arguments.integer(0))->barrier());
}

// isDone(work): also where it failed; `waitFor` says how.
napi_value is_done(napi_env env, const Arguments& arguments) {
  return make_boolean(env, works().at(arguments.integer(0))->isCompleted());
}

// waitFor(work, timeout): once for each operation. 0: the timeout of its group.
napi_value wait_for(napi_env env, const Arguments& arguments) {
  WorkPointer work = works().take(arguments.integer(0));
  if (!work->wait(std::chrono::milliseconds(arguments.integer(1)))) throw BridgeError(Fault::kTorch, "the operation was aborted");
  return make_undefined(env);
}

// backends(): { gloo, nccl }
napi_value backends(napi_env env, const Arguments&) {
#ifdef USE_C10D_GLOO
  bool gloo = true;
#else
  bool gloo = false;
#endif
  napi_value result = make_object(env);
  set_property(env, result, "gloo", make_boolean(env, gloo));
  set_property(env, result, "nccl", make_boolean(env, has_nccl()));
  return result;
}

}  // namespace

GroupPointer group_at(int64_t id) { return groups().at(id); }

void export_distributed(napi_env env, napi_value exports) {
  TLS_EXPORT(env, exports, "openTcpStore", open_tcp_store);
  TLS_EXPORT(env, exports, "openFileStore", open_file_store);
  TLS_EXPORT(env, exports, "prefixStore", prefix_store);
  TLS_EXPORT(env, exports, "storeSet", store_set);
  TLS_EXPORT(env, exports, "storeGet", store_get);
  TLS_EXPORT(env, exports, "closeStore", close_store);
  TLS_EXPORT(env, exports, "openGroup", open_group);
  TLS_EXPORT(env, exports, "closeGroup", close_group);
  TLS_EXPORT(env, exports, "broadcast", broadcast);
  TLS_EXPORT(env, exports, "allReduce", all_reduce);
  TLS_EXPORT(env, exports, "allGather", all_gather);
  TLS_EXPORT(env, exports, "send", send);
  TLS_EXPORT(env, exports, "receive", receive);
  TLS_EXPORT(env, exports, "barrier", barrier);
  TLS_EXPORT(env, exports, "isDone", is_done);
  TLS_EXPORT(env, exports, "waitFor", wait_for);
  TLS_EXPORT(env, exports, "backends", backends);
}

}  // namespace tls

#else  // a libtorch built with USE_DISTRIBUTED=0: TypeScript finds no `backends` and says so

namespace tls {
void export_distributed(napi_env, napi_value) {}
}  // namespace tls
#endif
