// The instruction set that the loops run with: the widest of this processor, or the one that was asked for.
#include <torch/library.h>

#include <atomic>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "instructions.h"

namespace tls {
namespace {

// The widest first.
const std::vector<InstructionSet>& available() {
  static const std::vector<InstructionSet> sets = [] {
    std::vector<InstructionSet> found;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw"))
      found.push_back(avx512_instructions());
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) found.push_back(avx2_instructions());
#endif
    found.push_back(portable_instructions());
    return found;
  }();
  return sets;
}

const InstructionSet& named(const std::string& where, const std::string& name) {
  std::string names;
  for (const InstructionSet& set : available()) {
    if (name == set.name) return set;
    names += (names.empty() ? "" : ", ") + std::string(set.name);
  }
  throw std::runtime_error(where + ": expected one of " + names + ", received " + name);
}

std::atomic<const InstructionSet*> chosen{nullptr};

// tls::instructions(name): chooses, unless the name is empty; the name of the one in use.
std::string choose(const std::string& name) {
  if (!name.empty()) chosen = &named("instructions", name);
  return instructions().name;
}

}  // namespace

const InstructionSet& instructions() {
  if (const InstructionSet* set = chosen) return *set;
  const char* wanted = std::getenv("TLS_INSTRUCTIONS");
  const bool asked = wanted != nullptr && *wanted != '\0';
  chosen = asked ? &named("TLS_INSTRUCTIONS", wanted) : &available().front();
  return *chosen;
}

TORCH_LIBRARY_FRAGMENT(tls, library) { library.def("instructions(str name) -> str", choose); }

}  // namespace tls
