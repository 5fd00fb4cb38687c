//! A Redis that comes back empty.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::time::Duration;

use cartwright_bus::{Broker as _, Interest};
use cartwright_bus_redis::{RedisBroker, Settings};
use cartwright_runtime::{Clock, Ids, Secret, Tasks};
use cartwright_servers::redis::Redis;
use cartwright_store::{Changes, Database, Envelope, Event, MemoryBackend};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Rung;

impl Event for Rung {
    const NAME: &'static str = "tower.bell-rung";

    fn subject(&self) -> String {
        "great".to_owned()
    }
}

async fn rung() -> Envelope {
    let clock = Clock::system();
    let database = Database::new(std::sync::Arc::new(MemoryBackend::new()), clock.clone(), Ids::random(clock));
    let tower = database.scoped("tower", &[]).await.unwrap();
    tower.commit(Changes::new().publish(&Rung)).await.unwrap();
    let (_, event) = database.backend().unsent(&Default::default(), 1).await.unwrap().remove(0);
    event
}

#[tokio::test]
async fn a_redis_that_lost_its_data_is_told_again_and_no_event_is_taken_by_nobody() {
    let server = Redis::start().await;
    let settings = Settings {
        url: Secret::new(server.url()),
        prefix: "loss".to_owned(),
        authority: None,
        claim_after: Duration::from_secs(2),
    };
    let broker = RedisBroker::open(settings, Clock::system(), Tasks::new()).await.unwrap();
    let interest = Interest { consumer: "town".to_owned(), event: Rung::NAME.to_owned() };
    broker.expect(vec![interest]).await.unwrap();
    broker.publish(rung().await).await.unwrap();
    assert_eq!(broker.lag("town").await.unwrap(), 1);

    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("FLUSHALL").exec_async(&mut connection).await.unwrap();

    let event = rung().await;
    broker.publish(event.clone()).await.unwrap_err();
    broker.publish(event).await.unwrap();
    assert_eq!(broker.lag("town").await.unwrap(), 1);
}
