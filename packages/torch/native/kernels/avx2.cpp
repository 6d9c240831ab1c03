// Compiled with AVX2 and FMA; see CMakeLists.txt.
#if defined(__x86_64__)
#define TLS_INSTRUCTION_SET avx2_instructions
#define TLS_INSTRUCTION_NAME "avx2"
#include "instruction_set.inc"
#endif
