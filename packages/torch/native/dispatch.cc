// Operators by name: look one up in the dispatcher, convert JavaScript values by its schema, call it boxed.
// Every ATen operator and every custom operator registered with TORCH_LIBRARY passes through `call` below.
#include <ATen/core/dispatch/Dispatcher.h>
#include <dlfcn.h>

#include <deque>
#include <mutex>
#include <sstream>

#include "boundary.h"
#include "integer_division.h"

namespace tls {
namespace {

using c10::IValue;
using c10::TypeKind;

// How one argument is converted. Types outside this list can only be left at their default.
enum class Kind : uint8_t {
  kTensor, kTensorList, kOptionalTensorList, kInt, kIntList, kFloat, kFloatList, kBool, kBoolList, kScalar, kScalarList,
  kString, kDevice, kScalarType, kLayout, kMemoryFormat, kUnsupported,
};

struct Parameter {
  Kind kind;
  bool optional;
  bool has_default;
  IValue default_value;
};

struct Operator {
  c10::OperatorHandle handle;
  std::vector<Parameter> parameters;
  bool returns_self;  // in-place: the first result is the first argument, which JavaScript already holds
  bool divides_integers;
};

Kind list_kind(const c10::Type& element) {
  switch (element.kind()) {
    case TypeKind::TensorType: return Kind::kTensorList;
    case TypeKind::OptionalType: return Kind::kOptionalTensorList;
    case TypeKind::IntType:
    case TypeKind::SymIntType: return Kind::kIntList;
    case TypeKind::FloatType: return Kind::kFloatList;
    case TypeKind::BoolType: return Kind::kBoolList;
    case TypeKind::NumberType: return Kind::kScalarList;
    default: return Kind::kUnsupported;
  }
}

Kind kind_of(const c10::Type& type) {
  switch (type.kind()) {
    case TypeKind::TensorType: return Kind::kTensor;
    case TypeKind::ListType: return list_kind(*type.castRaw<c10::ListType>()->getElementType());
    case TypeKind::IntType:
    case TypeKind::SymIntType: return Kind::kInt;
    case TypeKind::LayoutType: return Kind::kLayout;
    case TypeKind::MemoryFormatType: return Kind::kMemoryFormat;
    case TypeKind::ScalarTypeType: return Kind::kScalarType;
    case TypeKind::FloatType: return Kind::kFloat;
    case TypeKind::BoolType: return Kind::kBool;
    case TypeKind::NumberType: return Kind::kScalar;
    case TypeKind::StringType: return Kind::kString;
    case TypeKind::DeviceObjType: return Kind::kDevice;
    default: return Kind::kUnsupported;
  }
}

Parameter parameter_of(const c10::Argument& argument) {
  const c10::Type* type = argument.real_type().get();
  bool optional = type->kind() == TypeKind::OptionalType;
  Kind kind = kind_of(optional ? *type->castRaw<c10::OptionalType>()->getElementType() : *type);
  bool has_default = argument.default_value().has_value();
  return {kind, optional, has_default || optional, has_default ? *argument.default_value() : IValue()};
}

bool is_in_place(const c10::FunctionSchema& schema) {
  if (schema.arguments().empty() || schema.returns().size() != 1) return false;
  const auto* argument = schema.arguments()[0].alias_info();
  const auto* result = schema.returns()[0].alias_info();
  return argument && result && argument->isWrite() && result->isWrite();
}

// Operators found so far, shared by all threads; an entry never moves or changes once made.
std::deque<Operator>& operators() {
  static std::deque<Operator> table;
  return table;
}
std::mutex operators_mutex;

const Operator& operator_at(int64_t id) {
  std::lock_guard<std::mutex> lock(operators_mutex);
  if (id < 0 || static_cast<size_t>(id) >= operators().size())
    bad_argument("expected an operator id, received " + std::to_string(id));
  return operators()[id];
}

// Reading the table needs the lock only because another thread may be appending; a per-thread cache of pointers keeps
// the lock out of the call path.
const Operator& cached_operator(int64_t id) {
  static thread_local std::vector<const Operator*> cache;
  if (id >= 0 && static_cast<size_t>(id) < cache.size() && cache[id]) return *cache[id];
  const Operator& found = operator_at(id);
  if (static_cast<size_t>(id) >= cache.size()) cache.resize(id + 1, nullptr);
  cache[id] = &found;
  return found;
}

template <typename Element, typename Convert>
IValue to_list(napi_env env, napi_value value, Convert convert) {
  c10::List<Element> list;
  uint32_t length = array_length(env, value, "an array");
  list.reserve(std::min<uint32_t>(length, 64));  // a length may be made up: `new Array(4e9)` holds nothing
  for (uint32_t i = 0; i < length; ++i) list.push_back(convert(env, array_element(env, value, i)));
  return list;
}

const at::Tensor& to_tensor(napi_env env, napi_value value) { return handles(env).get(to_handle(env, value)); }

c10::optional<at::Tensor> to_optional_tensor(napi_env env, napi_value value) {
  if (type_of(env, value) == napi_null) return c10::nullopt;
  return to_tensor(env, value);
}

// libtorch trusts the codes of its enumerations: one that does not exist ends the process.
template <typename Enumeration>
int64_t to_code(napi_env env, napi_value value, const char* name) {
  int64_t code = to_integer(env, value), count = static_cast<int64_t>(Enumeration::NumOptions);
  if (code < 0 || code >= count)
    bad_argument("expected a " + std::string(name) + " code from 0 to " + std::to_string(count - 1) + ", received " +
                 std::to_string(code));
  return code;
}

IValue to_ivalue(napi_env env, napi_value value, Kind kind) {
  switch (kind) {
    case Kind::kTensor: return to_tensor(env, value);
    case Kind::kTensorList: return to_list<at::Tensor>(env, value, to_tensor);
    case Kind::kOptionalTensorList: return to_list<c10::optional<at::Tensor>>(env, value, to_optional_tensor);
    case Kind::kInt: return to_integer(env, value);
    case Kind::kScalarType: return static_cast<int64_t>(to_scalar_type(to_integer(env, value)));
    case Kind::kLayout: return to_code<c10::Layout>(env, value, "layout");
    case Kind::kMemoryFormat: return to_code<c10::MemoryFormat>(env, value, "memory format");
    case Kind::kIntList: return to_list<int64_t>(env, value, to_integer);
    case Kind::kFloat: return to_number(env, value);
    case Kind::kFloatList: return to_list<double>(env, value, to_number);
    case Kind::kBool: return to_boolean(env, value);
    case Kind::kBoolList: return to_list<bool>(env, value, to_boolean);
    case Kind::kScalar: return to_scalar(env, value);
    case Kind::kScalarList: return to_list<at::Scalar>(env, value, to_scalar);
    case Kind::kString: return to_string(env, value);
    case Kind::kDevice: return c10::Device(to_string(env, value));
    default: bad_argument("this argument's type cannot be given from JavaScript; leave it undefined");
  }
}

// undefined means "the schema's default", null means None.
IValue convert_argument(napi_env env, const Parameter& parameter, napi_value value) {
  // The common kinds are tried first without asking for the value's type: a type check costs as much as the reading.
  if (parameter.kind == Kind::kTensor) {
    double number;
    if (napi_get_value_double(env, value, &number) == napi_ok) return to_tensor(env, value);
  }
  napi_valuetype type = type_of(env, value);
  if (type == napi_undefined) {
    if (!parameter.has_default) bad_argument("is required");
    return parameter.default_value;
  }
  if (type == napi_null) {
    if (!parameter.optional) bad_argument("must not be null");
    return IValue();
  }
  return to_ivalue(env, value, parameter.kind);
}

void push_argument(napi_env env, const Operator& op, const Arguments& arguments, size_t index, torch::jit::Stack& stack) {
  const Parameter& parameter = op.parameters[index];
  try {
    if (index + 1 < arguments.count) {
      stack.push_back(convert_argument(env, parameter, arguments.values[index + 1]));
    } else {
      if (!parameter.has_default) bad_argument("is required");
      stack.push_back(parameter.default_value);
    }
  } catch (const BridgeError& error) {
    const std::string& name = op.handle.schema().arguments()[index].name();
    throw BridgeError(error.fault, "argument " + std::to_string(index + 1) + " (" + name + "): " + error.what());
  } catch (const c10::Error& error) {  // an unknown device name, say
    const std::string& name = op.handle.schema().arguments()[index].name();
    bad_argument("argument " + std::to_string(index + 1) + " (" + name + "): " + error.what_without_backtrace());
  }
}

napi_value to_javascript(napi_env env, const IValue& value);

napi_value list_to_javascript(napi_env env, const IValue& value) {
  auto list = value.toListRef();
  napi_value result = make_array(env, list.size());
  for (size_t i = 0; i < list.size(); ++i) set_element(env, result, i, to_javascript(env, list[i]));
  return result;
}

napi_value to_javascript(napi_env env, const IValue& value) {
  if (value.isTensor()) {
    napi_value result;
    check(env, napi_create_int32(env, handles(env).add(value.toTensor()), &result), "making a handle");
    return result;
  }
  if (value.isInt()) return make_integer(env, value.toInt());
  if (value.isDouble()) return make_number(env, value.toDouble());
  if (value.isBool()) return make_boolean(env, value.toBool());
  if (value.isString()) return make_string(env, value.toStringRef());
  if (value.isNone()) return make_null(env);
  if (value.isTensorList() || value.isIntList() || value.isDoubleList() || value.isBoolList() || value.isList())
    return list_to_javascript(env, value);
  if (value.isDevice()) return make_string(env, value.toDevice().str());
  if (value.isScalar()) {
    at::Scalar scalar = value.toScalar();
    if (scalar.isBoolean()) return make_boolean(env, scalar.toBool());
    if (scalar.isIntegral(false)) return make_integer(env, scalar.toLong());
    if (scalar.isFloatingPoint()) return make_number(env, scalar.toDouble());
  }
  bad_argument("the result's type (" + value.tagKind() + ") cannot be given to JavaScript");
}

napi_value results_to_javascript(napi_env env, const torch::jit::Stack& stack) {
  if (stack.empty()) return make_undefined(env);
  if (stack.size() == 1) return to_javascript(env, stack[0]);
  napi_value result = make_array(env, stack.size());
  for (size_t i = 0; i < stack.size(); ++i) set_element(env, result, i, to_javascript(env, stack[i]));
  return result;
}

// The thread's stack, taken for one call and given back empty: saves an allocation. A call made while arguments are
// being read (by a getter) finds none and allocates its own.
struct BorrowedStack {
  BorrowedStack() : values(std::move(spare())) { values.clear(); }
  ~BorrowedStack() {
    values.clear();
    spare() = std::move(values);
  }
  torch::jit::Stack values;

 private:
  static torch::jit::Stack& spare() {
    static thread_local torch::jit::Stack stack;
    return stack;
  }
};

// call(operatorId, ...arguments): one result, an array of results, or undefined when the operator works in place.
napi_value call(napi_env env, const Arguments& arguments) {
  const Operator& op = cached_operator(arguments.integer(0));
  size_t given = arguments.count - 1;
  if (given > op.parameters.size())
    bad_argument("at most " + std::to_string(op.parameters.size()) + " arguments, received " + std::to_string(given));
  BorrowedStack stack;
  for (size_t i = 0; i < op.parameters.size(); ++i) push_argument(env, op, arguments, i, stack.values);
  if (op.divides_integers) check_integer_division(stack.values);
  op.handle.callBoxed(&stack.values);
  if (op.returns_self) return make_undefined(env);
  return results_to_javascript(env, stack.values);
}

// findOperator(name, overload): its id, or -1.
napi_value find_operator(napi_env env, const Arguments& arguments) {
  std::string name = arguments.string(0), overload = arguments.string(1);
  auto found = c10::Dispatcher::singleton().findSchema({name, overload});
  if (!found) return make_integer(env, -1);
  Operator op{*found, {}, is_in_place(found->schema()), divides_integers(found->operator_name())};
  for (const auto& argument : found->schema().arguments()) op.parameters.push_back(parameter_of(argument));
  std::lock_guard<std::mutex> lock(operators_mutex);
  operators().push_back(std::move(op));
  return make_integer(env, static_cast<int64_t>(operators().size() - 1));
}

napi_value describe(napi_env env, const c10::Argument& argument) {
  napi_value result = make_object(env);
  set_property(env, result, "name", make_string(env, argument.name()));
  set_property(env, result, "type", make_string(env, argument.real_type()->str()));
  set_property(env, result, "hasDefault", make_boolean(env, argument.default_value().has_value()));
  set_property(env, result, "keywordOnly", make_boolean(env, argument.kwarg_only()));
  return result;
}

napi_value describe_all(napi_env env, const std::vector<c10::Argument>& list) {
  napi_value result = make_array(env, list.size());
  for (size_t i = 0; i < list.size(); ++i) set_element(env, result, i, describe(env, list[i]));
  return result;
}

// operatorSchema(id): { text, parameters, returns, inPlace }.
napi_value operator_schema(napi_env env, const Arguments& arguments) {
  const Operator& op = operator_at(arguments.integer(0));
  std::ostringstream text;
  text << op.handle.schema();
  napi_value result = make_object(env);
  set_property(env, result, "text", make_string(env, text.str()));
  set_property(env, result, "parameters", describe_all(env, op.handle.schema().arguments()));
  set_property(env, result, "returns", describe_all(env, op.handle.schema().returns()));
  set_property(env, result, "inPlace", make_boolean(env, op.returns_self));
  return result;
}

// operatorNames(): every registered name as "namespace::name.overload".
napi_value operator_names(napi_env env, const Arguments&) {
  auto names = c10::Dispatcher::singleton().getAllOpNames();
  napi_value result = make_array(env, names.size());
  for (size_t i = 0; i < names.size(); ++i) {
    std::string full = names[i].overload_name.empty() ? names[i].name : names[i].name + "." + names[i].overload_name;
    set_element(env, result, i, make_string(env, full));
  }
  return result;
}

// loadLibrary(path): a shared library whose static initialisers register operators (TORCH_LIBRARY).
napi_value load_library(napi_env env, const Arguments& arguments) {
  std::string path = arguments.string(0);
  if (path.empty() || path.find('\0') != std::string::npos) bad_argument("expected the path of a shared library");
  if (!dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL)) {
    const char* reason = dlerror();
    bad_argument(std::string("cannot load ") + path + ": " + (reason ? reason : "unknown reason"));
  }
  return make_undefined(env);
}

}  // namespace

void export_dispatch(napi_env env, napi_value exports) {
  TLS_EXPORT(env, exports, "call", call);
  TLS_EXPORT(env, exports, "findOperator", find_operator);
  TLS_EXPORT(env, exports, "operatorSchema", operator_schema);
  TLS_EXPORT(env, exports, "operatorNames", operator_names);
  TLS_EXPORT(env, exports, "loadLibrary", load_library);
}

}  // namespace tls
