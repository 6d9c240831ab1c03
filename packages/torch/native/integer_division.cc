// On x86 the smallest integer divided by -1 raises SIGFPE, which ends the process, and libtorch does not check (nowhere
// in 1.13, not everywhere in 2.x). The few operators that divide integers are therefore looked at before they run.
#include "integer_division.h"

#include <limits>

#include "boundary.h"

namespace tls {
namespace {

bool is_integer_on_cpu(const at::Tensor& tensor) { return tensor.is_cpu() && at::isIntegralType(tensor.scalar_type(), false); }

// Looks for a value after conversion to the type of the division: there 2^63 - 1 becomes the 32-bit -1.
bool contains(const c10::IValue& value, at::ScalarType type, int64_t wanted) {
  if (value.isTensor()) return value.toTensor().to(type).eq(wanted).any().item<bool>();
  return (type == at::kInt ? static_cast<int32_t>(value.toInt()) : value.toInt()) == wanted;
}

// The type in which the division is done; Undefined where it is no integer division of the CPU.
at::ScalarType common_type(const c10::IValue& left, const c10::IValue& right) {
  if (left.isTensor() && !is_integer_on_cpu(left.toTensor())) return at::ScalarType::Undefined;
  if (right.isTensor() && !is_integer_on_cpu(right.toTensor())) return at::ScalarType::Undefined;
  if (left.isTensor() && right.isTensor()) return at::result_type(left.toTensor(), right.toTensor());
  if (left.isTensor() && right.isInt()) return at::result_type(left.toTensor(), right.toScalar());
  if (left.isInt() && right.isTensor()) return at::result_type(left.toScalar(), right.toTensor());
  return at::ScalarType::Undefined;
}

}  // namespace

bool divides_integers(const c10::OperatorName& op) {
  std::string name = op.name;
  if (name.back() == '_') name.pop_back();
  if (name == "aten::floor_divide" || name == "aten::remainder" || name == "aten::fmod") return true;
  return (name == "aten::div" || name == "aten::divide") && op.overload_name.find("mode") != std::string::npos;
}

void check_integer_division(const torch::jit::Stack& stack) {
  const c10::IValue &left = stack[0], &right = stack[1];
  at::ScalarType type = common_type(left, right);
  if (type != at::kInt && type != at::kLong) return;  // narrower ones are computed in 32 bits, which hold the quotient
  int64_t smallest = type == at::kInt ? std::numeric_limits<int32_t>::min() : std::numeric_limits<int64_t>::min();
  if (contains(right, type, -1) && contains(left, type, smallest))
    bad_argument("the smallest integer, " + std::to_string(smallest) + ", cannot be divided by -1");
}

}  // namespace tls
