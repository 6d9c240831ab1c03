// What the kernels use of CUDA, in one place: number types, matrix instructions, copies that run beside the arithmetic, shuffles and
// launches. With TLS_CUDA_EMULATION the same comes from test/cuda-emulation.h, which runs a kernel on the CPU, thread by thread.
//
// Lanes of a warp hold matrices as the PTX manual says (mma.m16n8k16, mma.m16n8k8): with g = lane / 4 and t = lane % 4, the
// result c holds (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1).
#pragma once

#include <cstdint>

#if defined(TLS_CUDA_EMULATION)
#include "../../../test/cuda-emulation.h"
#else
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#endif

namespace tls::gpu {

constexpr int kWarpThreads = 32;

#if defined(TLS_CUDA_EMULATION)

using emulation::bfloat16;
using emulation::float16;
using Stream = void*;

inline void mma_16bit(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], bfloat16) { emulation::mma_m16n8k16<bfloat16>(c, a, b); }
inline void mma_16bit(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], float16) { emulation::mma_m16n8k16<float16>(c, a, b); }
inline void mma_tf32(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) { emulation::mma_m16n8k8(c, a, b); }
inline uint32_t nearest_tf32(float x) { return emulation::nearest_tf32(x); }
inline float float_of(uint32_t bits) { return emulation::float_of(bits); }
inline void load_matrices(uint32_t (&to)[4], const void* row) { emulation::ldmatrix(to, row, false); }
inline void load_matrices_across(uint32_t (&to)[4], const void* row) { emulation::ldmatrix(to, row, true); }
inline void copy_16_bytes(void* to, const void* from, bool present) { emulation::copy_async(to, from, present); }
inline void commit_copies() { emulation::commit_copies(); }
template <int kUnder>
inline void wait_for_copies() { emulation::wait_for_copies(kUnder); }
inline float of_lane_xor(float x, int mask) { return emulation::shuffle_xor(x, mask); }
inline void sync_warp() { emulation::sync_warp(); }
inline void sync_block() { emulation::sync_block(); }
inline unsigned char* shared_memory() { return emulation::shared_memory(); }

template <class Arguments>
void launch(void (*kernel)(Arguments), dim3 grid, int threads, int64_t shared_bytes, Stream, const Arguments& arguments) {
  emulation::launch([&] { kernel(arguments); }, grid, threads, shared_bytes);
}

inline float exponential(float x, float) { return std::exp(x); }
template <class T>
inline float exponential(float x, T) { return std::exp(x); }

#else

using bfloat16 = __nv_bfloat16;
using float16 = __half;
using Stream = cudaStream_t;

// c (16, 8) += a (16, 16) b (16, 8).
__device__ inline void mma_16bit(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], bfloat16) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
__device__ inline void mma_16bit(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], float16) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// c (16, 8) += a (16, 8) b (8, 8), of numbers with 10 bits behind the point.
__device__ inline void mma_tf32(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ inline uint32_t nearest_tf32(float x) {
  uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
  return bits;
}
__device__ inline float float_of(uint32_t bits) { return __uint_as_float(bits); }

__device__ inline uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

// Four matrices of 8 x 8 numbers of 16 bits. Lane l gives the address of row l % 8 of matrix l / 8, 16 bytes at a multiple of 16; of
// matrix i every lane gets the numbers (lane / 4, 2 (lane % 4)) and the one to their right.
__device__ inline void load_matrices(uint32_t (&to)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(row))
               : "memory");
}
// The same matrices, rows as columns.
__device__ inline void load_matrices_across(uint32_t (&to)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(row))
               : "memory");
}

// Begins to copy 16 bytes to shared memory, or 16 zero bytes; `from` is any valid address where nothing is present.
__device__ inline void copy_16_bytes(void* to, const void* from, bool present) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(__cvta_generic_to_global(from)),
               "r"(present ? 16 : 0)
               : "memory");
}
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until at most so many of this thread's groups of copies are under way.
template <int kUnder>
__device__ inline void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kUnder) : "memory");
}

__device__ inline float of_lane_xor(float x, int mask) { return __shfl_xor_sync(0xffffffffu, x, mask); }
__device__ inline void sync_warp() { __syncwarp(); }
__device__ inline void sync_block() { __syncthreads(); }

extern __shared__ __align__(16) unsigned char all_shared_memory[];
__device__ inline unsigned char* shared_memory() { return all_shared_memory; }

// float32 has to be right to the last digits, numbers of 16 bits have not.
__device__ inline float exponential(float x, float) { return expf(x); }
template <class T>
__device__ inline float exponential(float x, T) { return __expf(x); }

// Throws what CUDA says, in launch.cpp.
void check_launch(cudaError_t error);

template <class Arguments>
void launch(void (*kernel)(Arguments), dim3 grid, int threads, int64_t shared_bytes, Stream stream, const Arguments& arguments) {
  // More than 48 KiB have to be asked for.
  check_launch(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes)));
  kernel<<<grid, threads, static_cast<size_t>(shared_bytes), stream>>>(arguments);
  check_launch(cudaGetLastError());
}

#endif

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(bfloat16 x) { return __bfloat162float(x); }
__device__ inline float to_float(float16 x) { return __half2float(x); }

template <class T>
__device__ inline T to_type(float x);
template <>
__device__ inline float to_type<float>(float x) { return x; }
template <>
__device__ inline bfloat16 to_type<bfloat16>(float x) { return __float2bfloat16_rn(x); }
template <>
__device__ inline float16 to_type<float16>(float x) { return __float2half_rn(x); }

// Two numbers as one word, the first in its low half.
__device__ inline uint32_t packed(float low, float high, bfloat16) {
  const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&both);
}
__device__ inline uint32_t packed(float low, float high, float16) {
  const __half2 both = __floats2half2_rn(low, high);
  return *reinterpret_cast<const uint32_t*>(&both);
}

}  // namespace tls::gpu
