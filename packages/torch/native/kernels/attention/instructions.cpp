// Chooses the instruction set once, when attention is first computed.
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels.h"

namespace tls {
namespace {

std::vector<InstructionSet> widest_first() {
  std::vector<InstructionSet> sets;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw"))
    sets.push_back(avx512_instructions());
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) sets.push_back(avx2_instructions());
#endif
  sets.push_back(portable_instructions());
  return sets;
}

InstructionSet choose() {
  const std::vector<InstructionSet> sets = widest_first();
  const char* wanted = std::getenv("TLS_INSTRUCTIONS");
  if (wanted == nullptr || *wanted == '\0') return sets.front();
  std::string names;
  for (const InstructionSet& set : sets) {
    if (std::string(wanted) == set.name) return set;
    names += (names.empty() ? "" : ", ") + std::string(set.name);
  }
  throw std::runtime_error("TLS_INSTRUCTIONS: expected one of " + names + ", received " + wanted);
}

}  // namespace

const InstructionSet& instructions() {
  static const InstructionSet chosen = choose();
  return chosen;
}

}  // namespace tls
