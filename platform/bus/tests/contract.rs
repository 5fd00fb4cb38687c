//! The broker of one process signs the part of the contract that one process can break.

use std::sync::Arc;

use async_trait::async_trait;
use cartwright_bus::contract::Site;
use cartwright_bus::{Broker, InProcessBroker, Wire, bus_contract};
use cartwright_runtime::Tasks;

struct OneProcess(InProcessBroker);

#[async_trait]
impl Site for OneProcess {
    async fn connect(&self, _tasks: &Tasks) -> Arc<dyn Broker> {
        Arc::new(self.0.clone())
    }

    async fn wire(&self, _tasks: &Tasks) -> Arc<dyn Wire> {
        unreachable!("one process needs no wire")
    }

    async fn kill(&self) {
        unreachable!("it has no server")
    }

    async fn start_again(&self) {
        unreachable!("it has no server")
    }
}

bus_contract!(in_process, OneProcess(InProcessBroker::new(Tasks::new())), [delivery]);
