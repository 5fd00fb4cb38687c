//! Servers are started once, found by others, and gone with their users.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::TcpStream;

use bson::doc;
use cartwright_servers::mongo::{ReplicaSet, Standalone, shared};
use mongodb::Client;

#[tokio::test]
async fn two_users_get_one_server() {
    let (first, second) = tokio::join!(shared(), shared());

    assert_eq!(first, second);
    let client = Client::with_uri_str(&first).await.unwrap();
    let hello = client.database("admin").run_command(doc! { "hello": 1 }).await.unwrap();
    assert!(hello.get_bool("isWritablePrimary").unwrap());
}

#[tokio::test]
async fn a_server_of_one_test_is_gone_with_it() {
    let server = Standalone::start().await;
    let address = server.uri().trim_start_matches("mongodb://").trim_end_matches('/').to_owned();
    TcpStream::connect(&address).unwrap();

    drop(server);

    assert!(TcpStream::connect(&address).is_err());
}

#[tokio::test]
async fn a_set_elects_another_primary_when_its_primary_is_killed() {
    let mut set = ReplicaSet::start(3).await;
    let first = set.kill_primary().await;
    set.elected().await;
    set.start_again(first).await;

    let second = set.kill_primary().await;
    set.elected().await;

    assert!(first < 3 && second < 3);
}
