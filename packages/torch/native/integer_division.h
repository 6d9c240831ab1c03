#pragma once

#include <ATen/core/stack.h>
#include <ATen/core/operator_name.h>

namespace tls {

bool divides_integers(const c10::OperatorName& op);

// Throws BridgeError where a division would end the process. The stack holds dividend and divisor first.
void check_integer_division(const torch::jit::Stack& stack);

}  // namespace tls
