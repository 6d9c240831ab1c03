// Runs CUDA kernels on the CPU: the subset that kernels/attention/cuda/primitives.cuh needs, so that indices, fragments and
// reductions can be checked where there is no GPU.
//
// Each thread of a block is a fiber; a fiber runs until it meets others (a barrier, a shuffle, a matrix instruction). Found are:
// threads that meet at different places or not at all, shared memory that is read before it is written (it begins as NaN) or beyond
// its end (by the sanitizer of addresses: it has exactly the size that was asked for), copies that nobody waited for (they
// happen when they are waited for), and, by running the threads in another order, missing barriers.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <type_traits>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)
#define __forceinline__ inline
#define __grid_constant__
#define __restrict__ __restrict

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

namespace emulation {

constexpr int kLanes = 32;
constexpr size_t kStackBytes = size_t{1} << 18;

[[noreturn]] inline void fail(const char* what) {
  std::fprintf(stderr, "emulated kernel: %s\n", what);
  std::abort();
}

// ---- number types ------------------------------------------------------------------------------------------------------------

inline uint32_t bits_of(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}
inline float float_of(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}

struct bfloat16 {
  uint16_t bits;
};
struct float16 {
  uint16_t bits;
};

inline float value_of(bfloat16 x) { return float_of(uint32_t{x.bits} << 16); }
inline void round_to(bfloat16& to, float x) {
  const uint32_t bits = bits_of(x);
  to.bits = std::isnan(x) ? 0x7fff : static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline float value_of(float16 x) {
  const int sign = x.bits >> 15, exponent = x.bits >> 10 & 31, fraction = x.bits & 1023;
  const float size = exponent == 31  ? (fraction ? NAN : INFINITY)
                     : exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                                     : std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
  return sign ? -size : size;
}
inline void round_to(float16& to, float x) {
  const uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  const float size = std::fabs(x);
  if (std::isnan(x)) {
    to.bits = 0x7fff;
  } else if (size >= 65520.0f) {
    to.bits = sign | 0x7c00;
  } else {
    int exponent = 0;
    std::frexp(size, &exponent);
    if (exponent < -13) exponent = -13;
    // 11 bits from the highest one on, to the nearest, ties to even.
    const auto units = static_cast<uint32_t>(std::nearbyint(std::ldexp(size, 11 - exponent)));
    const bool small = units < 1024;
    to.bits = static_cast<uint16_t>(sign + (small ? units : units - 1024 + (static_cast<uint32_t>(exponent + 14) << 10)));
  }
}

// As the tensor cores read it: the low bits are not looked at.
inline float tf32_of(uint32_t bits) { return float_of(bits & 0xffffe000u); }
inline uint32_t nearest_tf32(float x) { return std::isfinite(x) ? (bits_of(x) + 0x1000u) & 0xffffe000u : bits_of(x); }

// ---- threads -----------------------------------------------------------------------------------------------------------------

enum class Meeting { none, block, warp, shuffle, mma16, mma8, matrices };

struct Copy {
  void* to;
  const void* from;
  bool present;
};

struct Thread {
  ucontext_t context;
  jmp_buf place;
  bool begun = false;
  std::unique_ptr<char[]> stack{new char[kStackBytes]};
  int index = 0;
  bool ended = false;
  // Where it waits, and how often it met others there.
  Meeting meeting = Meeting::none;
  uint64_t block_meetings = 0, warp_meetings = 0;
  // What it shows the other lanes, of this meeting and of the one before.
  uint32_t shown[2][12];
  std::vector<std::vector<Copy>> groups;
  std::vector<Copy> copies;
  void* sanitizer_stack = nullptr;
};

struct Block {
  std::vector<std::unique_ptr<Thread>> threads;
  std::unique_ptr<unsigned char[]> shared;
  jmp_buf scheduler_place;
  void* sanitizer_stack = nullptr;
  const void* scheduler_stack = nullptr;
  size_t scheduler_stack_bytes = 0;
  Thread* running = nullptr;
  const std::function<void()>* kernel = nullptr;
  dim3 index, grid;
  int thread_count = 0;
};

inline Block block;
inline uint64_t order_seed = 0;  // 0: threads run in their order

// The sanitizer of addresses has to know which stack is in use.
#if defined(__SANITIZE_ADDRESS__)
inline void begin_switch(void** left, const void* stack, size_t bytes) { __sanitizer_start_switch_fiber(left, stack, bytes); }
inline void end_switch(void* entered, const void** left, size_t* bytes) { __sanitizer_finish_switch_fiber(entered, left, bytes); }
#else
inline void begin_switch(void**, const void*, size_t) {}
inline void end_switch(void*, const void**, size_t*) {}
#endif

// Jumps, because swapcontext asks the system for each switch.
__attribute__((noinline)) inline void to_scheduler(bool ends) {
  begin_switch(ends ? nullptr : &block.running->sanitizer_stack, block.scheduler_stack, block.scheduler_stack_bytes);
  if (_setjmp(block.running->place) == 0) _longjmp(block.scheduler_place, 1);
  end_switch(block.running->sanitizer_stack, nullptr, nullptr);
}

inline void thread_main() {
  end_switch(nullptr, &block.scheduler_stack, &block.scheduler_stack_bytes);
  (*block.kernel)();
  for (const auto& group : block.running->groups)
    if (!group.empty()) fail("a thread ends with copies that it did not wait for");
  if (!block.running->copies.empty()) fail("a thread ends with copies that it did not commit");
  block.running->ended = true;
  to_scheduler(true);
}

__attribute__((noinline)) inline void run(Thread& thread) {
  block.running = &thread;
  begin_switch(&block.sanitizer_stack, thread.stack.get(), kStackBytes);
  if (_setjmp(block.scheduler_place) == 0) {
    if (thread.begun) _longjmp(thread.place, 1);
    thread.begun = true;
    setcontext(&thread.context);
  }
  end_switch(block.sanitizer_stack, nullptr, nullptr);
}

// Waits until all threads from `first` to `end` came here as often as this one did.
inline void meet(Meeting meeting, int first, int end, uint64_t Thread::* count) {
  Thread& self = *block.running;
  self.meeting = meeting;
  const uint64_t mine = ++(self.*count);
  for (;;) {
    bool all = true;
    for (int i = first; i < end; ++i) {
      const Thread& other = *block.threads[static_cast<size_t>(i)];
      if (other.*count >= mine) {
        if (other.*count == mine && other.meeting != meeting && other.meeting != Meeting::none && meeting != Meeting::block &&
            other.meeting != Meeting::block)
          fail("threads of a warp meet at different instructions");
        continue;
      }
      if (other.ended) fail("a thread waits for one that has ended");
      all = false;
    }
    if (all) break;
    to_scheduler(false);
  }
}

inline void meet_warp(Meeting meeting) {
  const int first = block.running->index / kLanes * kLanes;
  meet(meeting, first, first + kLanes, &Thread::warp_meetings);
}

inline void launch(const std::function<void()>& kernel, dim3 grid, int threads, int64_t shared_bytes) {
  if (threads % kLanes != 0) fail("threads that are no whole warps");
  block.kernel = &kernel;
  block.grid = grid;
  block.thread_count = threads;
  while (block.threads.size() < static_cast<size_t>(threads)) block.threads.push_back(std::make_unique<Thread>());
  std::vector<size_t> order(static_cast<size_t>(threads));
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::mt19937_64 random(order_seed);
  for (unsigned z = 0; z < grid.z; ++z)
    for (unsigned y = 0; y < grid.y; ++y)
      for (unsigned x = 0; x < grid.x; ++x) {
        block.index = dim3(x, y, z);
        block.shared.reset(new unsigned char[static_cast<size_t>(shared_bytes)]);
        std::memset(block.shared.get(), 0xff, static_cast<size_t>(shared_bytes));
        for (int i = 0; i < threads; ++i) {
          Thread& thread = *block.threads[static_cast<size_t>(i)];
          thread.index = i;
          thread.ended = thread.begun = false;
          thread.meeting = Meeting::none;
          thread.block_meetings = thread.warp_meetings = 0;
          thread.groups.clear();
          thread.copies.clear();
          getcontext(&thread.context);
          thread.context.uc_stack.ss_sp = thread.stack.get();
          thread.context.uc_stack.ss_size = kStackBytes;
          thread.context.uc_link = nullptr;
          makecontext(&thread.context, thread_main, 0);
        }
        if (order_seed != 0) std::shuffle(order.begin(), order.end(), random);
        for (bool some = true; some;) {
          some = false;
          uint64_t before = 0, after = 0;
          const auto progress = [&](uint64_t& sum) {
            for (const size_t i : order) {
              const Thread& thread = *block.threads[i];
              sum += thread.block_meetings + thread.warp_meetings + (thread.ended ? 1 : 0);
            }
          };
          progress(before);
          for (const size_t i : order)
            if (!block.threads[i]->ended) {
              run(*block.threads[i]);
              some = true;
            }
          progress(after);
          if (some && before == after) {
            // One more round: those who waited for the last one may go on now.
            for (const size_t i : order)
              if (!block.threads[i]->ended) run(*block.threads[i]);
            uint64_t again = 0;
            progress(again);
            if (again == after) fail("threads wait for one another for ever");
          }
        }
      }
}

// ---- what kernels call -------------------------------------------------------------------------------------------------------

inline unsigned char* shared_memory() { return block.shared.get(); }

inline void sync_block() {
  meet(Meeting::block, 0, block.thread_count, &Thread::block_meetings);
}
inline void sync_warp() { meet_warp(Meeting::warp); }

// Shows `count` words to the warp and returns whose are seen: word(lane, i).
template <class Word>
auto exchanged(Meeting meeting, const Word* words, int count) {
  static_assert(sizeof(Word) == 4);
  Thread& self = *block.running;
  const int turn = static_cast<int>(self.warp_meetings & 1);
  std::memcpy(self.shown[turn], words, static_cast<size_t>(count) * 4);
  meet_warp(meeting);
  const int first = self.index / kLanes * kLanes;
  return [first, turn](int lane, int i) { return block.threads[static_cast<size_t>(first + lane)]->shown[turn][i]; };
}

inline float shuffle_xor(float x, int mask) {
  const int lane = block.running->index % kLanes;
  return float_of(exchanged(Meeting::shuffle, &x, 1)(lane ^ mask, 0));
}

// c of this lane += the sum of a(row, k) b(k, column), as the manual lays them out.
template <class A, class B>
void add_products(float (&c)[4], int depth, A a, B b) {
  const int lane = block.running->index % kLanes;
  for (int i = 0; i < 4; ++i) {
    const int row = lane / 4 + (i >= 2 ? 8 : 0), column = lane % 4 * 2 + i % 2;
    double sum = c[i];
    for (int k = 0; k < depth; ++k) sum += static_cast<double>(a(row, k)) * static_cast<double>(b(k, column));
    c[i] = static_cast<float>(sum);
  }
}

// Of this lane's words of a and of b: their numbers, two each.
template <class T>
void mma_m16n8k16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  float numbers[12];
  for (int i = 0; i < 12; ++i) {
    const uint32_t word = i < 8 ? a[i / 2] : b[i / 2 - 4];
    numbers[i] = value_of(T{static_cast<uint16_t>(word >> (16 * (i % 2)))});
  }
  const auto shown = exchanged(Meeting::mma16, numbers, 12);
  add_products(
      c, 16,
      [&](int row, int k) {
        return float_of(shown(row % 8 * 4 + k % 8 / 2, (row >= 8 ? 2 : 0) + (k >= 8 ? 4 : 0) + k % 2));
      },
      [&](int k, int column) { return float_of(shown(column * 4 + k % 8 / 2, 8 + (k >= 8 ? 2 : 0) + k % 2)); });
}

inline void mma_m16n8k8(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  uint32_t words[6];
  std::memcpy(words, a, sizeof a);
  std::memcpy(words + 4, b, sizeof b);
  const auto shown = exchanged(Meeting::mma8, words, 6);
  add_products(
      c, 8, [&](int row, int k) { return tf32_of(shown(row % 8 * 4 + k % 4, (row >= 8 ? 1 : 0) + (k >= 4 ? 2 : 0))); },
      [&](int k, int column) { return tf32_of(shown(column * 4 + k % 4, 4 + (k >= 4 ? 1 : 0))); });
}

inline void ldmatrix(uint32_t (&to)[4], const void* row, bool across) {
  if (reinterpret_cast<uintptr_t>(row) % 16 != 0) fail("a row of a matrix that is not at a multiple of 16 bytes");
  uint32_t words[2];
  const auto address = reinterpret_cast<uint64_t>(row);
  std::memcpy(words, &address, 8);
  const auto word = exchanged(Meeting::matrices, words, 2);
  const int lane = block.running->index % kLanes;
  const auto number = [&](int matrix, int r, int c) -> uint32_t {
    const uint64_t at = word(matrix * 8 + r, 0) | uint64_t{word(matrix * 8 + r, 1)} << 32;
    return reinterpret_cast<const uint16_t*>(at)[c];
  };
  for (int i = 0; i < 4; ++i) {
    const int r = lane / 4, c = lane % 4 * 2;
    to[i] = across ? number(i, c, r) | number(i, c + 1, r) << 16 : number(i, r, c) | number(i, r, c + 1) << 16;
  }
  meet_warp(Meeting::matrices);  // nobody writes before all have read
}

inline void copy_async(void* to, const void* from, bool present) {
  if ((reinterpret_cast<uintptr_t>(to) | (present ? reinterpret_cast<uintptr_t>(from) : 0)) % 16 != 0)
    fail("a copy of 16 bytes that is not at a multiple of 16");
  block.running->copies.push_back({to, from, present});
}
inline void commit_copies() {
  block.running->groups.push_back(std::move(block.running->copies));
  block.running->copies.clear();
}
inline void wait_for_copies(int under_way) {
  auto& groups = block.running->groups;
  while (groups.size() > static_cast<size_t>(under_way)) {
    for (const Copy& copy : groups.front()) {
      if (copy.present)
        std::memcpy(copy.to, copy.from, 16);
      else
        std::memset(copy.to, 0, 16);
    }
    groups.erase(groups.begin());
  }
}

struct ThreadIndex {
  struct X {
    operator int() const { return block.running->index; }
  } x;
};
struct BlockIndex {
  struct X { operator int() const { return static_cast<int>(block.index.x); } } x;
  struct Y { operator int() const { return static_cast<int>(block.index.y); } } y;
  struct Z { operator int() const { return static_cast<int>(block.index.z); } } z;
};
struct GridSize {
  struct X { operator int() const { return static_cast<int>(block.grid.x); } } x;
};

}  // namespace emulation

inline emulation::ThreadIndex threadIdx;
inline emulation::BlockIndex blockIdx;
inline emulation::GridSize gridDim;

using __nv_bfloat162 = uint32_t;
using __half2 = uint32_t;
inline float __bfloat162float(emulation::bfloat16 x) { return emulation::value_of(x); }
inline float __half2float(emulation::float16 x) { return emulation::value_of(x); }
inline emulation::bfloat16 __float2bfloat16_rn(float x) {
  emulation::bfloat16 y;
  emulation::round_to(y, x);
  return y;
}
inline emulation::float16 __float2half_rn(float x) {
  emulation::float16 y;
  emulation::round_to(y, x);
  return y;
}
inline __nv_bfloat162 __floats2bfloat162_rn(float low, float high) {
  return __float2bfloat16_rn(low).bits | uint32_t{__float2bfloat16_rn(high).bits} << 16;
}
inline __half2 __floats2half2_rn(float low, float high) {
  return __float2half_rn(low).bits | uint32_t{__float2half_rn(high).bits} << 16;
}
