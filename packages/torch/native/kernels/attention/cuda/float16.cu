#define TLS_NUMBER float16
#define TLS_TYPE Type::float16
#include "type.inc"
