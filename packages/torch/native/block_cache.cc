// The kernel clears every page it hands out, so giving blocks back at every free costs a training step a fifth of its time.
// Keeping all that was freed costs a quarter more memory, because the sizes of a forward and a backward pass differ. Here
// freed blocks wait as ranges of pages: neighbours join, a tensor takes the smallest range that holds it and leaves the
// rest, and all memory together stays within 1/16 of the most that was in use at once: beyond that the ranges that waited
// longest go back to the system first.
#include "block_cache.h"

#include <sys/mman.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>

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
    char* base = reuse(size);
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
    wait(static_cast<char*>(data) - kOffset, size);
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
    unmap_oldest(waiting_bytes_);
    peak_bytes_ = in_use_bytes_;
  }

 private:
  struct Range {
    size_t size;
    uint64_t age;
  };
  using Ranges = std::map<char*, Range>;

  // The smallest waiting range that holds `size`; what is left of it waits on, unless that is less than an eighth.
  char* reuse(size_t size) {
    auto found = by_size_.lower_bound({size, nullptr});
    if (found == by_size_.end()) return nullptr;
    char* base = found->second;
    Range range = remove(waiting_.find(base));
    if (range.size - size > size / 8)
      insert(base + size, {range.size - size, range.age});
    else
      size = range.size;
    in_use_[base + kOffset] = size;
    return base;
  }

  char* fresh(size_t size) {
    size_t peak = std::max(peak_bytes_, in_use_bytes_ + size);
    size_t limit = peak + peak / 16 + kSlackBytes;
    size_t all = in_use_bytes_ + waiting_bytes_ + size;
    if (all > limit) unmap_oldest(all - limit);
    char* base = map(size);
    if (base == nullptr && waiting_bytes_ > 0) {
      unmap_oldest(waiting_bytes_);
      base = map(size);
    }
    if (base != nullptr) in_use_[base + kOffset] = size;
    return base;
  }

  // Joins a range with the waiting ones that begin where it ends and end where it begins.
  void wait(char* base, size_t size) {
    auto after = waiting_.lower_bound(base);
    if (after != waiting_.end() && after->first == base + size) {
      auto joined = after++;
      size += remove(joined).size;
    }
    if (after != waiting_.begin()) {
      auto before = std::prev(after);
      if (before->first + before->second.size == base) {
        base = before->first;
        size += remove(before).size;
      }
    }
    insert(base, {size, ++now_});
  }

  // At least `bytes`, or all there is.
  void unmap_oldest(size_t bytes) {
    while (bytes > 0 && !by_age_.empty()) {
      auto oldest = waiting_.find(by_age_.begin()->second);
      char* base = oldest->first;
      Range range = remove(oldest);
      // Half a huge page would be broken up.
      size_t gone = std::min(range.size, rounded_up(bytes, kHugePage));
      munmap(base + range.size - gone, gone);
      if (gone < range.size) insert(base, {range.size - gone, range.age});
      bytes -= std::min(bytes, gone);
    }
  }

  void insert(char* base, Range range) {
    waiting_.emplace(base, range);
    by_size_.emplace(range.size, base);
    by_age_.emplace(range.age, base);
    waiting_bytes_ += range.size;
  }

  Range remove(Ranges::iterator found) {
    auto [base, range] = *found;
    waiting_.erase(found);
    by_size_.erase({range.size, base});
    by_age_.erase({range.age, base});
    waiting_bytes_ -= range.size;
    return range;
  }

  std::mutex mutex_;
  // Size by the address of the data.
  std::unordered_map<char*, size_t> in_use_;
  // By address of the first page.
  Ranges waiting_;
  std::set<std::pair<size_t, char*>> by_size_;
  std::set<std::pair<uint64_t, char*>> by_age_;
  size_t in_use_bytes_ = 0;
  size_t waiting_bytes_ = 0;
  size_t peak_bytes_ = 0;
  uint64_t now_ = 0;
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
