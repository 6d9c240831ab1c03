// Stand-ins for Gloo's headers, which neither Debian's libtorch-dev nor a Python's torch brings along. torch's own
// ProcessGroupGloo.hpp includes them, but holds Gloo's objects by pointer only and makes them inside libtorch: names are all
// it needs. Nothing of these classes is ever made or called by the bridge.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace gloo::rendezvous {

class Store {
 public:
  static constexpr std::chrono::milliseconds kDefaultTimeout = std::chrono::seconds(30);
  virtual ~Store() = default;
  virtual void set(const std::string& key, const std::vector<char>& value) = 0;
  virtual std::vector<char> get(const std::string& key) = 0;
  virtual void wait(const std::vector<std::string>& keys) = 0;
  virtual void wait(const std::vector<std::string>& keys, const std::chrono::milliseconds& timeout) = 0;
};

}  // namespace gloo::rendezvous
