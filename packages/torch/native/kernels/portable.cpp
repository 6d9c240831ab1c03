#define TLS_INSTRUCTION_SET portable_instructions
#define TLS_INSTRUCTION_NAME "portable"
#include "instruction_set.inc"
