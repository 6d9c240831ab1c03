#include "boundary.h"

#include <c10/util/Exception.h>

#include <cmath>
#include <limits>
#include <memory>

namespace tls {

void bad_argument(const std::string& message) { throw BridgeError(Fault::kArgument, message); }

// ---- handles ---------------------------------------------------------------------------------------------------
int32_t Handles::add(at::Tensor tensor) {
  if (!tensor.defined()) return -1;
  ++live_;
  if (!unused_.empty()) {
    int32_t handle = unused_.back();
    unused_.pop_back();
    slots_[handle] = std::move(tensor);
    return handle;
  }
  if (slots_.size() >= static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    --live_;
    bad_argument("too many live tensors");
  }
  slots_.push_back(std::move(tensor));
  return static_cast<int32_t>(slots_.size() - 1);
}

const at::Tensor& Handles::get(int32_t handle) const {
  if (handle < 0) throw BridgeError(Fault::kFreed, "a tensor that was freed before");
  if (static_cast<size_t>(handle) >= slots_.size() || !slots_[handle].defined())
    throw BridgeError(Fault::kFreed, "handle " + std::to_string(handle) + ", which belongs to no live tensor");
  return slots_[handle];
}

void Handles::free(int32_t handle) {
  if (handle < 0) return;
  get(handle);  // refuses what is not live
  slots_[handle].reset();
  unused_.push_back(handle);
  --live_;
}

void Handles::clear() {
  slots_.clear();
  unused_.clear();
  live_ = 0;
}

Handles& handles(napi_env env) {
  void* data = nullptr;
  napi_get_instance_data(env, &data);
  return *static_cast<Handles*>(data);
}

// ---- reading ---------------------------------------------------------------------------------------------------
void check(napi_env env, napi_status status, const char* doing) {
  if (status == napi_ok) return;
  const napi_extended_error_info* info = nullptr;
  napi_get_last_error_info(env, &info);
  const char* reason = info && info->error_message ? info->error_message : "unknown reason";
  bad_argument(std::string(doing) + " failed: " + reason);
}

napi_valuetype type_of(napi_env env, napi_value value) {
  napi_valuetype type = napi_undefined;
  check(env, napi_typeof(env, value, &type), "typeof");
  return type;
}

const char* type_name(napi_env env, napi_value value) {
  switch (type_of(env, value)) {
    case napi_undefined: return "undefined";
    case napi_null: return "null";
    case napi_boolean: return "a boolean";
    case napi_number: return "a number";
    case napi_string: return "a string";
    case napi_symbol: return "a symbol";
    case napi_function: return "a function";
    case napi_bigint: return "a bigint";
    default: return "an object";
  }
}

static std::string expected(const char* what, napi_env env, napi_value value) {
  return std::string("expected ") + what + ", received " + type_name(env, value);
}

double to_number(napi_env env, napi_value value) {
  double number;
  if (napi_get_value_double(env, value, &number) != napi_ok) bad_argument(expected("a number", env, value));
  return number;
}

static bool is_exact_integer(double number) { return number == std::floor(number) && std::fabs(number) <= 9007199254740991.0; }

int64_t to_integer(napi_env env, napi_value value) {
  double number;
  if (napi_get_value_double(env, value, &number) == napi_ok) {
    if (!is_exact_integer(number)) bad_argument("expected an integer, received " + std::to_string(number));
    return static_cast<int64_t>(number);
  }
  int64_t integer;
  bool lossless;
  if (napi_get_value_bigint_int64(env, value, &integer, &lossless) == napi_ok) {
    if (!lossless) bad_argument("expected an integer of at most 64 bits, received a larger bigint");
    return integer;
  }
  bad_argument(expected("an integer", env, value));
}

bool to_boolean(napi_env env, napi_value value) {
  bool result;
  if (napi_get_value_bool(env, value, &result) != napi_ok) bad_argument(expected("a boolean", env, value));
  return result;
}

std::string to_string(napi_env env, napi_value value) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok)
    bad_argument(expected("a string", env, value));
  std::string text(length + 1, '\0');
  check(env, napi_get_value_string_utf8(env, value, text.data(), length + 1, &length), "reading a string");
  text.resize(length);
  return text;
}

int32_t to_handle(napi_env env, napi_value value) {
  double number;
  if (napi_get_value_double(env, value, &number) != napi_ok) bad_argument(expected("a tensor handle", env, value));
  if (!(number >= -1 && number <= std::numeric_limits<int32_t>::max()) || number != std::floor(number))
    bad_argument("expected a tensor handle, received " + std::to_string(number));
  return static_cast<int32_t>(number);
}

at::Scalar to_scalar(napi_env env, napi_value value) {
  switch (type_of(env, value)) {
    case napi_number: {
      double number = to_number(env, value);
      // JavaScript has one number type: whole values act as PyTorch's integers, so `x.add(1)` keeps an int tensor int.
      // -0 must stay a double, or its sign is lost.
      bool negative_zero = number == 0 && std::signbit(number);
      if (is_exact_integer(number) && !negative_zero) return at::Scalar(static_cast<int64_t>(number));
      return at::Scalar(number);
    }
    case napi_boolean: return at::Scalar(to_boolean(env, value));
    case napi_bigint: return at::Scalar(to_integer(env, value));
    default: bad_argument(expected("a number, bigint or boolean", env, value));
  }
}

c10::ScalarType to_scalar_type(int64_t code) {
  if (code < 0 || code >= static_cast<int64_t>(c10::ScalarType::NumOptions) ||
      static_cast<c10::ScalarType>(code) == c10::ScalarType::Undefined)
    bad_argument("expected a dtype code, received " + std::to_string(code));
  return static_cast<c10::ScalarType>(code);
}

uint32_t array_length(napi_env env, napi_value value, const char* what) {
  bool is_array = false;
  napi_is_array(env, value, &is_array);
  if (!is_array) bad_argument(expected(what, env, value));
  uint32_t length = 0;
  check(env, napi_get_array_length(env, value, &length), "reading an array's length");
  return length;
}

napi_value array_element(napi_env env, napi_value array, uint32_t index) {
  napi_value element;
  check(env, napi_get_element(env, array, index, &element), "reading an array element");
  return element;
}

Arguments::Arguments(napi_env env, napi_callback_info info) : env(env), count(kFew), values(few_) {
  check(env, napi_get_cb_info(env, info, &count, few_, nullptr, nullptr), "reading arguments");
  if (count <= kFew) return;
  many_.resize(count);
  values = many_.data();
  check(env, napi_get_cb_info(env, info, &count, values, nullptr, nullptr), "reading arguments");
}

napi_value Arguments::at(size_t index, const char* expected) const {
  if (index >= count) bad_argument("argument " + std::to_string(index + 1) + " is missing: " + expected);
  return values[index];
}

bool Arguments::missing(size_t index) const {
  if (index >= count) return true;
  napi_valuetype type = type_of(env, values[index]);
  return type == napi_undefined || type == napi_null;
}

const at::Tensor& Arguments::tensor(size_t index) const {
  return handles(env).get(to_handle(env, at(index, "a tensor")));
}
int64_t Arguments::integer(size_t index) const { return to_integer(env, at(index, "an integer")); }
double Arguments::number(size_t index) const { return to_number(env, at(index, "a number")); }
bool Arguments::boolean(size_t index) const { return to_boolean(env, at(index, "a boolean")); }
std::string Arguments::string(size_t index) const { return to_string(env, at(index, "a string")); }

std::vector<at::Tensor> Arguments::tensors(size_t index) const {
  napi_value array = at(index, "an array of tensors");
  uint32_t length = array_length(env, array, "an array of tensors");
  std::vector<at::Tensor> result;
  for (uint32_t i = 0; i < length; ++i)
    result.push_back(handles(env).get(to_handle(env, array_element(env, array, i))));
  return result;
}

std::vector<int64_t> Arguments::integers(size_t index) const {
  napi_value array = at(index, "an array of integers");
  uint32_t length = array_length(env, array, "an array of integers");
  std::vector<int64_t> result;  // not sized beforehand: `new Array(4e9)` has a length but no elements
  for (uint32_t i = 0; i < length; ++i) result.push_back(to_integer(env, array_element(env, array, i)));
  return result;
}

// ---- making ----------------------------------------------------------------------------------------------------
napi_value make_integer(napi_env env, int64_t value) {
  napi_value result;
  // Beyond 2^53 a double would silently be another integer.
  if (value > 9007199254740991 || value < -9007199254740991)
    check(env, napi_create_bigint_int64(env, value, &result), "making a bigint");
  else
    check(env, napi_create_int64(env, value, &result), "making a number");
  return result;
}

napi_value make_number(napi_env env, double value) {
  napi_value result;
  check(env, napi_create_double(env, value, &result), "making a number");
  return result;
}

napi_value make_boolean(napi_env env, bool value) {
  napi_value result;
  check(env, napi_get_boolean(env, value, &result), "making a boolean");
  return result;
}

napi_value make_string(napi_env env, const std::string& value) {
  napi_value result;
  check(env, napi_create_string_utf8(env, value.data(), value.size(), &result), "making a string");
  return result;
}

napi_value make_array(napi_env env, size_t length) {
  napi_value result;
  check(env, napi_create_array_with_length(env, length, &result), "making an array");
  return result;
}

void set_element(napi_env env, napi_value array, size_t index, napi_value value) {
  check(env, napi_set_element(env, array, static_cast<uint32_t>(index), value), "filling an array");
}

napi_value make_integers(napi_env env, at::IntArrayRef values) {
  napi_value result = make_array(env, values.size());
  for (size_t i = 0; i < values.size(); ++i) set_element(env, result, i, make_integer(env, values[i]));
  return result;
}

napi_value make_null(napi_env env) {
  napi_value result;
  check(env, napi_get_null(env, &result), "making null");
  return result;
}

napi_value make_undefined(napi_env env) {
  napi_value result;
  check(env, napi_get_undefined(env, &result), "making undefined");
  return result;
}

napi_value make_object(napi_env env) {
  napi_value result;
  check(env, napi_create_object(env, &result), "making an object");
  return result;
}

void set_property(napi_env env, napi_value object, const char* name, napi_value value) {
  check(env, napi_set_named_property(env, object, name, value), "setting a property");
}

void export_function(napi_env env, napi_value exports, const char* name, napi_callback callback) {
  napi_value function;
  check(env, napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, nullptr, &function), "exporting");
  set_property(env, exports, name, function);
}

// ---- errors ----------------------------------------------------------------------------------------------------
static const char* fault_code(Fault fault) {
  switch (fault) {
    case Fault::kFreed: return "TLS_FREED";
    case Fault::kArgument: return "TLS_ARGUMENT";
    default: return "TLS_TORCH";
  }
}

static void throw_error(napi_env env, Fault fault, const char* message) {
  bool pending = false;
  napi_is_exception_pending(env, &pending);  // a JavaScript exception on its way out says more than ours would
  if (!pending) napi_throw_error(env, fault_code(fault), message);
}

void throw_to_javascript(napi_env env) {
  try {
    throw;
  } catch (const BridgeError& error) {
    throw_error(env, error.fault, error.what());
  } catch (const c10::Error& error) {
    throw_error(env, Fault::kTorch, error.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    throw_error(env, Fault::kTorch, "out of memory");
  } catch (const std::exception& error) {
    throw_error(env, Fault::kTorch, error.what());
  } catch (...) {
    throw_error(env, Fault::kTorch, "an unknown native exception");
  }
}

}  // namespace tls
