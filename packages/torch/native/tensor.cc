// Tensors: creation from and copying to typed arrays, metadata, freeing.
#include <cstring>

#include "boundary.h"

namespace tls {
namespace {

struct Bytes {
  void* data;
  size_t length;
};

// The memory behind a typed array, DataView or ArrayBuffer; valid until JavaScript runs again.
Bytes bytes_of(napi_env env, napi_value value) {
  bool is = false;
  Bytes bytes{nullptr, 0};
  if (napi_is_typedarray(env, value, &is) == napi_ok && is) {
    napi_typedarray_type type;
    size_t elements;
    check(env, napi_get_typedarray_info(env, value, &type, &elements, &bytes.data, nullptr, nullptr), "reading a typed array");
    static const size_t kWidths[] = {1, 1, 1, 2, 2, 4, 4, 4, 8, 8, 8};  // in the order of napi_typedarray_type
    if (static_cast<size_t>(type) >= sizeof(kWidths) / sizeof(kWidths[0])) bad_argument("an unknown kind of typed array");
    bytes.length = elements * kWidths[type];
    return bytes;
  }
  if (napi_is_arraybuffer(env, value, &is) == napi_ok && is) {
    check(env, napi_get_arraybuffer_info(env, value, &bytes.data, &bytes.length), "reading an ArrayBuffer");
    return bytes;
  }
  bad_argument(std::string("expected a typed array or an ArrayBuffer, received ") + type_name(env, value));
}

// Bytes of a dense tensor of this shape; refuses negative sizes and products beyond what memory can address.
size_t checked_bytes(const std::vector<int64_t>& shape, c10::ScalarType dtype) {
  size_t bytes = c10::elementSize(dtype);
  for (int64_t size : shape) {
    if (size < 0) bad_argument("sizes must not be negative, received " + std::to_string(size));
    if (__builtin_mul_overflow(bytes, static_cast<size_t>(size), &bytes) || bytes > (size_t{1} << 47))
      bad_argument("the shape holds more elements than memory can address");
  }
  return bytes;
}

// fromBytes(bytes, dtype, shape): a CPU tensor with a copy of the bytes.
napi_value from_bytes(napi_env env, const Arguments& arguments) {
  c10::ScalarType dtype = to_scalar_type(arguments.integer(1));
  std::vector<int64_t> shape = arguments.integers(2);
  Bytes bytes = bytes_of(env, arguments.at(0, "a typed array"));  // last: a getter in the shape may detach the array
  size_t needed = checked_bytes(shape, dtype);
  if (needed != bytes.length)
    bad_argument("shape and dtype need " + std::to_string(needed) + " bytes, received " + std::to_string(bytes.length));
  at::Tensor tensor = at::empty(shape, at::TensorOptions().dtype(dtype));
  if (needed) std::memcpy(tensor.data_ptr(), bytes.data, needed);
  return make_integer(env, handles(env).add(std::move(tensor)));
}

// copyTo(tensor, bytes): writes the elements in row-major order, whatever the strides and device.
napi_value copy_to(napi_env env, const Arguments& arguments) {
  at::Tensor dense = arguments.tensor(0).detach().to(at::kCPU).resolve_conj().resolve_neg().contiguous();
  Bytes bytes = bytes_of(env, arguments.at(1, "a typed array"));
  if (dense.nbytes() != bytes.length)
    bad_argument("the tensor holds " + std::to_string(dense.nbytes()) + " bytes, the array " + std::to_string(bytes.length));
  if (bytes.length) std::memcpy(bytes.data, dense.data_ptr(), bytes.length);
  return make_undefined(env);
}

void release_shared(napi_env, void*, void* tensor) { delete static_cast<at::Tensor*>(tensor); }

// share(tensor): an ArrayBuffer over the tensor's own memory, which it keeps alive. Only for dense CPU tensors.
napi_value share(napi_env env, const Arguments& arguments) {
  const at::Tensor& tensor = arguments.tensor(0);
  if (!tensor.device().is_cpu() || tensor.layout() != at::kStrided || !tensor.is_contiguous())
    bad_argument("only a contiguous CPU tensor can share its memory");
  if (tensor.nbytes() == 0) bad_argument("an empty tensor has no memory to share");
  auto owner = std::make_unique<at::Tensor>(tensor.detach());
  napi_value buffer;
  napi_status status =
      napi_create_external_arraybuffer(env, owner->data_ptr(), owner->nbytes(), release_shared, owner.get(), &buffer);
  check(env, status, "sharing memory (this runtime may forbid external buffers)");
  owner.release();
  return buffer;
}

napi_value shape(napi_env env, const Arguments& arguments) { return make_integers(env, arguments.tensor(0).sizes()); }

napi_value strides(napi_env env, const Arguments& arguments) {
  const at::Tensor& tensor = arguments.tensor(0);
  if (tensor.layout() != at::kStrided) bad_argument("only a strided tensor has strides");
  return make_integers(env, tensor.strides());
}

napi_value dtype(napi_env env, const Arguments& arguments) {
  return make_integer(env, static_cast<int64_t>(arguments.tensor(0).scalar_type()));
}

napi_value device(napi_env env, const Arguments& arguments) { return make_string(env, arguments.tensor(0).device().str()); }

napi_value is_contiguous(napi_env env, const Arguments& arguments) {
  return make_boolean(env, arguments.tensor(0).is_contiguous());
}

// bytes(tensor): size of the elements (not of the storage, which views share); 0 where they lie in no one block.
napi_value bytes(napi_env env, const Arguments& arguments) {
  const at::Tensor& tensor = arguments.tensor(0);
  return make_integer(env, tensor.layout() == at::kStrided ? static_cast<int64_t>(tensor.nbytes()) : 0);
}

// item(tensor): the only element, as number, boolean, or bigint where a number would lose digits.
napi_value item(napi_env env, const Arguments& arguments) {
  const at::Tensor& tensor = arguments.tensor(0);
  if (tensor.numel() != 1) bad_argument("expected a tensor of one element, received " + std::to_string(tensor.numel()));
  at::Scalar value = tensor.item();
  if (value.isBoolean()) return make_boolean(env, value.toBool());
  if (value.isIntegral(false)) return make_integer(env, value.toLong());
  if (value.isFloatingPoint()) return make_number(env, value.toDouble());
  bad_argument("a complex element has no JavaScript number");
}

napi_value free_tensor(napi_env env, const Arguments& arguments) {
  handles(env).free(to_handle(env, arguments.at(0, "a tensor")));
  return make_undefined(env);
}

// freeMany(Int32Array of handles, count): one crossing for a whole scope.
napi_value free_many(napi_env env, const Arguments& arguments) {
  napi_value array = arguments.at(0, "an Int32Array of handles");
  napi_typedarray_type type = napi_uint8_array;
  if (napi_get_typedarray_info(env, array, &type, nullptr, nullptr, nullptr, nullptr) != napi_ok || type != napi_int32_array)
    bad_argument("expected an Int32Array of handles");
  Bytes bytes = bytes_of(env, array);
  int64_t count = arguments.integer(1);
  if (count < 0 || static_cast<size_t>(count) * sizeof(int32_t) > bytes.length)
    bad_argument("count " + std::to_string(count) + " does not fit the array");
  for (int64_t i = 0; i < count; ++i) {
    int32_t handle;
    std::memcpy(&handle, static_cast<char*>(bytes.data) + i * sizeof(int32_t), sizeof handle);
    handles(env).free(handle);
  }
  return make_undefined(env);
}

}  // namespace

void export_tensor(napi_env env, napi_value exports) {
  TLS_EXPORT(env, exports, "fromBytes", from_bytes);
  TLS_EXPORT(env, exports, "copyTo", copy_to);
  TLS_EXPORT(env, exports, "share", share);
  TLS_EXPORT(env, exports, "shape", shape);
  TLS_EXPORT(env, exports, "strides", strides);
  TLS_EXPORT(env, exports, "dtype", dtype);
  TLS_EXPORT(env, exports, "device", device);
  TLS_EXPORT(env, exports, "isContiguous", is_contiguous);
  TLS_EXPORT(env, exports, "bytes", bytes);
  TLS_EXPORT(env, exports, "item", item);
  TLS_EXPORT(env, exports, "free", free_tensor);
  TLS_EXPORT(env, exports, "freeMany", free_many);
}

}  // namespace tls
