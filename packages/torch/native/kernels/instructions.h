// The loops of attention and of layers, compiled for this processor.
#pragma once

#include "attention/kernels.h"
#include "layers/kernels.h"

namespace tls {

struct InstructionSet {
  const char* name;
  AttentionKernels<float> float32;
  AttentionKernels<double> float64;
  LayerKernels<float> layers32;
  LayerKernels<double> layers64;
};

InstructionSet portable_instructions();
#if defined(__x86_64__)
InstructionSet avx2_instructions();
InstructionSet avx512_instructions();
#endif

// The widest that this processor has, or the one that the environment variable TLS_INSTRUCTIONS names.
const InstructionSet& instructions();

}  // namespace tls
