/** Many processes that compute together, on torch's c10d. */
export { type Backends, distributedBackends } from './binding.js';
export { DistributedError } from './errors.js';
export { GradientBuckets, type GradientBucketsOptions } from './gradient-buckets.js';
export { type Backend, ProcessGroup, type ProcessGroupOptions, Work } from './process-group.js';
export {
  type Environment,
  type MeetingPlace,
  type Membership,
  meet,
  membershipFrom,
  RENDEZVOUS_FILE,
} from './rendezvous.js';
export { type Extension, extendTogether, ShardedSequence, stretchesOf } from './sharded-sequence.js';
export { Store } from './store.js';
