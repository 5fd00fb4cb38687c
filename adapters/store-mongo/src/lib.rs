//! The distributed engine: MongoDB, one database for each service, shared by any number of processes.
//!
//! Promises that a commit is on the disks of most nodes before it is answered, that it takes effect once however the
//! network and the nodes fail meanwhile, and that a commit whose caller left is whole or not at all. Refuses a server that
//! is no replica set, one that is too old and one that does not let us in, each with a sentence that says how to mend it.

mod backend;
mod calls;
mod codec;
mod commit;
mod failure;
mod open;
mod outbox;
mod page;
mod plan;
mod prepare;
mod space;
mod transaction;

pub use backend::MongoBackend;
pub use open::{OpenError, Options, Target};
