// Groups on NCCL, apart from the rest because its header wants those of CUDA and NCCL. CMake defines TLS_NCCL where they and libtorch's
// own part are there.
#include "distributed.h"

#ifdef TLS_DISTRIBUTED
#ifdef TLS_NCCL
#define USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

namespace tls {

#ifdef TLS_NCCL
bool has_nccl() { return true; }

// NCCL connects at the first collective; its operations follow the stream that is current, so waiting for one does not stop the CPU.
GroupPointer make_nccl_group(const GroupOptions& group) {
  auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = group.timeout;
  return c10::make_intrusive<c10d::ProcessGroupNCCL>(group.store, group.rank, group.world, options);
}
#else
bool has_nccl() { return false; }

GroupPointer make_nccl_group(const GroupOptions&) {
  throw BridgeError(Fault::kTorch, "this bridge was built without NCCL, which needs a libtorch with it and the headers of CUDA and NCCL");
}
#endif

}  // namespace tls
#endif
