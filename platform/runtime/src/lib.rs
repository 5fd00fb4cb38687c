//! What every part of the program takes instead of reaching for the world: time, identifiers, secrets, tasks, logs.
//!
//! Promises that a test can drive each of them: the clock by hand, identifiers from a seed, tasks to their end.

mod clock;
mod ids;
mod secret;
mod tasks;
mod telemetry;

pub use clock::{Clock, Stopwatch, Time};
pub use ids::Ids;
pub use secret::Secret;
pub use tasks::Tasks;
pub use telemetry::{LogFormat, start_telemetry};
