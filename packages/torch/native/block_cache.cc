// The kernel clears every page it hands out, so giving blocks back at every free costs a training step a fifth of its time.
// Keeping all that was freed costs a quarter more memory, because the sizes of a forward and a backward pass differ. Here
// freed blocks wait for a tensor of their size, but all blocks together stay within 1/16 of the most that was in use at
// once: beyond that the ones that waited longest go back to the system first.
#include "block_cache.h"

#include <sys/mman.h>

#include <algorithm>
#include <iterator>
#include <list>
#include <map>
#include <mutex>
#include <unordered_map>

namespace tls {
namespace {

constexpr size_t kPage = 4096;
constexpr size_t kHugePage = size_t{2} << 20;
// Room for the small tensors of a program whose peak is small too.
constexpr size_t kSlackBytes = size_t{8} << 20;
// What an address space can hold: beyond it the rounding below would overflow.
constexpr size_t kMostBytes = size_t{1} << 47;
// Data begins here in a block: a place within a page that few other allocations have, which makes `give_block` quick for them.
constexpr size_t kOffset = 64;

size_t rounded_up(size_t size, size_t unit) { return (size + unit - 1) / unit * unit; }

// Whole pages, and for large blocks a sixteenth of their power of two, so that nearly equal sizes share blocks. What is not
// touched of a block takes no memory.
size_t mapped_size(size_t bytes) {
  size_t needed = bytes + kOffset;
  size_t power = kPage * 16;
  while (power * 2 <= needed) power *= 2;
  return rounded_up(needed, power / 16);
}

char* map(size_t size) {
  size_t extra = size >= 2 * kHugePage ? kHugePage : 0;
  void* found = mmap(nullptr, size + extra, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (found == MAP_FAILED) return nullptr;
  char* base = static_cast<char*>(found);
  if (extra == 0) return base;
  // Huge pages begin at multiples of their size; what is left on both sides goes back.
  char* aligned = reinterpret_cast<char*>(rounded_up(reinterpret_cast<uintptr_t>(base), kHugePage));
  if (aligned > base) munmap(base, static_cast<size_t>(aligned - base));
  if (aligned < base + extra) munmap(aligned + size, static_cast<size_t>(base + extra - aligned));
#ifdef MADV_HUGEPAGE
  madvise(aligned, size, MADV_HUGEPAGE);
#endif
  return aligned;
}

class BlockCache {
 public:
  void* take(size_t bytes) {
    if (bytes > kMostBytes) return nullptr;
    size_t size = mapped_size(bytes);
    std::lock_guard<std::mutex> guard(mutex_);
    char* base = waiting(size);
    if (base == nullptr) base = fresh(size);
    if (base == nullptr) return nullptr;
    in_use_bytes_ += in_use_[base + kOffset];
    peak_bytes_ = std::max(peak_bytes_, in_use_bytes_);
    return base + kOffset;
  }

  size_t give(void* data) {
    std::lock_guard<std::mutex> guard(mutex_);
    auto found = in_use_.find(static_cast<char*>(data));
    if (found == in_use_.end()) return 0;
    size_t size = found->second;
    in_use_.erase(found);
    in_use_bytes_ -= size;
    waiting_bytes_ += size;
    by_age_.push_back({static_cast<char*>(data) - kOffset, size, {}});
    auto block = std::prev(by_age_.end());
    block->by_size = by_size_.emplace(size, block);
    return size - kOffset;
  }

  size_t size_of(const void* data) {
    std::lock_guard<std::mutex> guard(mutex_);
    auto found = in_use_.find(static_cast<char*>(const_cast<void*>(data)));
    return found == in_use_.end() ? 0 : found->second - kOffset;
  }

  int64_t waiting_bytes() {
    std::lock_guard<std::mutex> guard(mutex_);
    return static_cast<int64_t>(waiting_bytes_);
  }

  void clear() {
    std::lock_guard<std::mutex> guard(mutex_);
    while (!by_age_.empty()) unmap_oldest();
    peak_bytes_ = in_use_bytes_;
  }

 private:
  struct Block;
  using BySize = std::multimap<size_t, std::list<Block>::iterator>;
  struct Block {
    char* base;
    size_t size;
    BySize::iterator by_size;
  };

  // A waiting block that wastes at most an eighth.
  char* waiting(size_t size) {
    auto found = by_size_.lower_bound(size);
    if (found == by_size_.end() || found->first > size + size / 8) return nullptr;
    auto block = found->second;
    char* base = block->base;
    in_use_[base + kOffset] = block->size;
    waiting_bytes_ -= block->size;
    by_size_.erase(found);
    by_age_.erase(block);
    return base;
  }

  char* fresh(size_t size) {
    size_t peak = std::max(peak_bytes_, in_use_bytes_ + size);
    size_t limit = peak + peak / 16 + kSlackBytes;
    while (!by_age_.empty() && in_use_bytes_ + waiting_bytes_ + size > limit) unmap_oldest();
    char* base = map(size);
    while (base == nullptr && !by_age_.empty()) {
      unmap_oldest();
      base = map(size);
    }
    if (base != nullptr) in_use_[base + kOffset] = size;
    return base;
  }

  void unmap_oldest() {
    Block& oldest = by_age_.front();
    munmap(oldest.base, oldest.size);
    waiting_bytes_ -= oldest.size;
    by_size_.erase(oldest.by_size);
    by_age_.pop_front();
  }

  std::mutex mutex_;
  std::unordered_map<char*, size_t> in_use_;
  std::list<Block> by_age_;
  BySize by_size_;
  size_t in_use_bytes_ = 0;
  size_t waiting_bytes_ = 0;
  size_t peak_bytes_ = 0;
};

// Never destroyed: tensors may be freed after the program's static objects.
BlockCache& cache() {
  static BlockCache* the_cache = new BlockCache;
  return *the_cache;
}

bool may_be_block(const void* data) { return reinterpret_cast<uintptr_t>(data) % kPage == kOffset; }

}  // namespace

void* take_block(size_t bytes) { return cache().take(bytes); }
size_t give_block(void* data) { return may_be_block(data) ? cache().give(data) : 0; }
size_t block_size(const void* data) { return may_be_block(data) ? cache().size_of(data) : 0; }
int64_t cached_bytes() { return cache().waiting_bytes(); }
void release_cached_blocks() { cache().clear(); }

}  // namespace tls
