// Large blocks of memory, kept for the next tensor of their size within a bound.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tls {

// Smaller blocks are the C library's.
constexpr size_t kSmallestCachedBlock = size_t{1} << 16;

// At least `bytes`, aligned to 64; nullptr where the system has no more.
void* take_block(size_t bytes);

// Gives a block back and returns what it held, or returns 0 where the address is none of these blocks.
size_t give_block(void* data);

// What a block that is in use holds, 0 where the address is none of these blocks.
size_t block_size(const void* data);

// Bytes of blocks that wait for use.
int64_t cached_bytes();

// Returns all waiting blocks to the system, and forgets how much was once in use.
void release_cached_blocks();

}  // namespace tls
