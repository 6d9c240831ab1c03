// The boundary between JavaScript and libtorch: tensor handles, argument reading, and the one place where C++
// exceptions become JavaScript errors. Every other .cc file here is written in terms of this header.
//
// JavaScript never holds a pointer. It holds a small integer, the index of a slot in a table; a freed slot is
// empty and may be given out again. The TypeScript `Tensor` class owns its slot alone and forgets the index when it
// frees it, so an index that arrives here is either live, -1 (freed by its owner), or nonsense; the last two
// are refused with a message.
#pragma once

#include <ATen/ATen.h>
#include <node_api.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace tls {

// What went wrong, so that TypeScript can choose the error class. Keep in step with `src/errors.ts`.
enum class Fault { kTorch, kFreed, kArgument };

class BridgeError : public std::runtime_error {
 public:
  BridgeError(Fault fault, const std::string& message) : std::runtime_error(message), fault(fault) {}
  const Fault fault;
};

[[noreturn]] void bad_argument(const std::string& message);

// The live tensors of one JavaScript environment (main thread or worker): no locking is needed.
class Handles {
 public:
  int32_t add(at::Tensor tensor);             // an undefined tensor gives -1
  const at::Tensor& get(int32_t handle) const;  // throws BridgeError on a freed or invalid handle
  void free(int32_t handle);                  // freeing -1 is allowed and does nothing
  void clear();
  int64_t live() const { return live_; }

 private:
  std::vector<at::Tensor> slots_;
  std::vector<int32_t> unused_;
  int64_t live_ = 0;
};

Handles& handles(napi_env env);

// Throws when a Node-API call did not succeed (a wrong argument type, or an exception pending).
void check(napi_env env, napi_status status, const char* doing);

// ---- reading arguments -----------------------------------------------------------------------------------------
struct Arguments {
  Arguments(napi_env env, napi_callback_info info);
  napi_env env;
  size_t count;
  napi_value* values;

  napi_value at(size_t index, const char* expected) const;
  bool missing(size_t index) const;  // not given, undefined or null
  const at::Tensor& tensor(size_t index) const;
  int64_t integer(size_t index) const;
  double number(size_t index) const;
  bool boolean(size_t index) const;
  std::string string(size_t index) const;
  std::vector<at::Tensor> tensors(size_t index) const;  // array of handles
  std::vector<int64_t> integers(size_t index) const;

 private:
  // Node fills what is not given with undefined, so room for the rare long call would be paid for by every call.
  static constexpr size_t kFew = 8;
  napi_value few_[kFew];
  std::vector<napi_value> many_;
};

napi_valuetype type_of(napi_env env, napi_value value);
const char* type_name(napi_env env, napi_value value);
int64_t to_integer(napi_env env, napi_value value);  // exact integers only
double to_number(napi_env env, napi_value value);
bool to_boolean(napi_env env, napi_value value);
std::string to_string(napi_env env, napi_value value);
int32_t to_handle(napi_env env, napi_value value);
at::Scalar to_scalar(napi_env env, napi_value value);
c10::ScalarType to_scalar_type(int64_t code);
uint32_t array_length(napi_env env, napi_value value, const char* what);
napi_value array_element(napi_env env, napi_value array, uint32_t index);

// ---- making results --------------------------------------------------------------------------------------------
napi_value make_integer(napi_env env, int64_t value);
napi_value make_number(napi_env env, double value);
napi_value make_boolean(napi_env env, bool value);
napi_value make_string(napi_env env, const std::string& value);
napi_value make_integers(napi_env env, at::IntArrayRef values);
napi_value make_null(napi_env env);
napi_value make_undefined(napi_env env);
napi_value make_object(napi_env env);
void set_property(napi_env env, napi_value object, const char* name, napi_value value);
napi_value make_array(napi_env env, size_t length);
void set_element(napi_env env, napi_value array, size_t index, napi_value value);

// ---- the one try/catch -----------------------------------------------------------------------------------------
void throw_to_javascript(napi_env env);  // call inside a catch block only

// Wraps a function `napi_value f(napi_env, const Arguments&)` so that no C++ exception can pass into Node.
template <napi_value (*Function)(napi_env, const Arguments&)>
napi_value guarded(napi_env env, napi_callback_info info) {
  try {
    Arguments arguments(env, info);
    return Function(env, arguments);
  } catch (...) {
    throw_to_javascript(env);
    return nullptr;
  }
}

void export_function(napi_env env, napi_value exports, const char* name, napi_callback callback);
#define TLS_EXPORT(env, exports, name, function) \
  ::tls::export_function(env, exports, name, ::tls::guarded<function>)

// One line per subject, called by addon.cc.
void export_dispatch(napi_env env, napi_value exports);
void export_tensor(napi_env env, napi_value exports);
void export_autograd(napi_env env, napi_value exports);
void export_random(napi_env env, napi_value exports);
void export_device(napi_env env, napi_value exports);
void export_memory(napi_env env, napi_value exports);
void export_distributed(napi_env env, napi_value exports);
void export_gradient_buckets(napi_env env, napi_value exports);

}  // namespace tls
