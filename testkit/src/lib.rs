//! A whole shop in a test: every service, the real sandbox provider, a local mailbox, and faults where a test wants them.
//!
//! Time stands still until a test moves it. Nothing sleeps: [`TestShop::settle`] runs the shop until it is at rest.

mod cluster;
mod event_stream;
mod faulty;
mod hostile_broker;
mod process;
mod processes;
mod reply;
mod test_shop;

pub use event_stream::EventStream;
pub use faulty::{Fault, FaultyBackend, FaultyProvider, Strike};
pub use hostile_broker::HostileBroker;
pub use process::{ProcessPlan, ShopProcess, VerbOutput};
pub use processes::{ClusterPlan, ProcessCluster};
pub use reply::Reply;
pub use test_shop::{Engine, Shopper, TestShop, TestShopBuilder};
