//! Events over redis.
