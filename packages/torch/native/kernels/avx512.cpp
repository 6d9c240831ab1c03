// Compiled with AVX-512; see CMakeLists.txt.
#if defined(__x86_64__)
#define TLS_INSTRUCTION_SET avx512_instructions
#define TLS_INSTRUCTION_NAME "avx512"
#include "instruction_set.inc"
#endif
