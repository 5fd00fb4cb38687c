//! Documents, and the one way to change them.
//!
//! An operation reads documents, decides in plain Rust and returns one [`Changes`] value; [`execute`], [`consume`] and
//! [`change`] commit it in one transaction together with the receipt of the request or the mark of the event, and
//! [`Performer`] runs what acts on the world. Promises: all of a change or none of it, no update lost, no event lost, no
//! request or event applied twice. Engines are adapters behind [`Backend`].

mod backend;
mod changes;
pub mod contract;
mod document;
mod event;
mod execute;
mod lanes;
mod memory;
mod perform;
mod store;
mod turns;

pub use backend::{Backend, Bookmark, Collection, Commit, Effect, Order, Query, Row, StoreError, Write};
pub use changes::Changes;
pub use document::{CollectionSpec, Document, Index, IndexEntry, IndexValue, Stored};
pub use event::{Envelope, Event};
pub use execute::{Answer, Decision, KeyReused, Request, change, consume, execute, forget_old};
pub use lanes::Lane;
pub use memory::MemoryBackend;
pub use perform::{Intent, Lease, Performer};
pub use store::{Database, Find, Store};
pub use turns::{be_at_work, is_anybody_at_work, take_turn};
