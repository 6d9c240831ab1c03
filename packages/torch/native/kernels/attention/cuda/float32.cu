#define TLS_NUMBER float
#define TLS_TYPE Type::float32
#include "type.inc"
