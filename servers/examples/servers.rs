//! Runs the servers that tests share, and says where they are, until its input ends: `cargo run -p cartwright-servers
//! --example servers`.

use std::io::Read as _;

use cartwright_servers::{mongo, rabbitmq, redis};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    println!("MONGODB_URI={}", mongo::shared().await);
    println!("AMQP_URL={}", rabbitmq::shared().await);
    println!("REDIS_URL={}", redis::shared().await);
    println!("They run until the input of this program ends.");
    std::io::stdin().read_to_end(&mut Vec::new()).map(drop)
}
