// Entry of the add-on: what it exports, subject by subject.
#include "boundary.h"

static void destroy_handles(napi_env, void* data, void*) { delete static_cast<tls::Handles*>(data); }

NAPI_MODULE_INIT() {
  try {
    tls::check(env, napi_set_instance_data(env, new tls::Handles(), destroy_handles, nullptr), "initialising");
    tls::export_dispatch(env, exports);  // operators by name, called boxed
    tls::export_tensor(env, exports);    // create, copy in and out, metadata, free
    tls::export_autograd(env, exports);  // backward, gradients, grad mode, autocast
    tls::export_random(env, exports);    // seeds and generator states
    tls::export_device(env, exports);    // versions, devices, threads
    tls::export_memory(env, exports);    // live tensors, allocated bytes
    tls::export_distributed(env, exports);       // stores, process groups, collectives
    tls::export_gradient_buckets(env, exports);  // gradients summed over the processes while they are made
  } catch (...) {
    tls::throw_to_javascript(env);
  }
  return exports;
}
