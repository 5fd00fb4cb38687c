//! Events over redis.

mod quota;

pub use quota::{QuotaError, RedisQuota};
