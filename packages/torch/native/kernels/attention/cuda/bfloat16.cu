#define TLS_NUMBER bfloat16
#define TLS_TYPE Type::bfloat16
#include "type.inc"
