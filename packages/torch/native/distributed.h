// What the files about many processes share: the groups and stores that are open in this process, by small integers.
#pragma once

#include "boundary.h"

#ifdef TLS_DISTRIBUTED
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <torch/csrc/distributed/c10d/Types.hpp>
#include <torch/csrc/distributed/c10d/Work.hpp>
#include <torch/version.h>

// What has collectives was a ProcessGroup until 1.13; since 2.0 that is a wrapper around one Backend for each device.
#if TORCH_VERSION_MAJOR >= 2
#include <torch/csrc/distributed/c10d/Backend.hpp>
#else
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#endif

namespace tls {

#if TORCH_VERSION_MAJOR >= 2
using Group = c10d::Backend;
#else
using Group = c10d::ProcessGroup;
#endif
using GroupPointer = c10::intrusive_ptr<Group>;

struct GroupOptions {
  c10::intrusive_ptr<c10d::Store> store;
  int rank;
  int world;
  std::chrono::milliseconds timeout;
};

GroupPointer group_at(int64_t id);           // throws BridgeError for one that is not open
GroupPointer make_nccl_group(const GroupOptions& options);  // throws where this build has no NCCL
bool has_nccl();

}  // namespace tls
#endif
