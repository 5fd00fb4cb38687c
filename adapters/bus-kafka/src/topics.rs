//! The two topics, created where they are missing.

use std::time::Duration;

use cartwright_runtime::Tasks;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// How long Kafka may take to answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// The names of the topics and how many parts the first one has.
#[derive(Clone, Debug)]
pub(crate) struct Topics {
    pub(crate) events: String,
    pub(crate) hints: String,
    pub(crate) partitions: i32,
}

impl Topics {
    pub(crate) fn new(prefix: &str, partitions: i32) -> Self {
        Self { events: format!("{prefix}.events"), hints: format!("{prefix}.hints"), partitions }
    }

    /// Creates what is missing, on as many brokers as Kafka's own settings say.
    pub(crate) async fn create(&self, config: &ClientConfig, tasks: &Tasks) -> Result<(), KafkaError> {
        let admin: AdminClient<DefaultClientContext> = config.create()?;
        let looked = tasks.blocking(move || existing(&admin).map(|names| (admin, names))).await;
        let (admin, existing) = looked.map_err(|_| KafkaError::Canceled)??;
        let wanted = [(&self.events, self.partitions), (&self.hints, 1)];
        let missing = wanted.iter().filter(|(name, _)| !existing.contains(name));
        let missing: Vec<NewTopic<'_>> =
            missing.map(|(name, partitions)| NewTopic::new(name, *partitions, TopicReplication::Fixed(-1))).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
        for created in admin.create_topics(&missing, &options).await? {
            match created {
                // Another process was faster.
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(KafkaError::AdminOp(code)),
            }
        }
        Ok(())
    }
}

fn existing(admin: &AdminClient<DefaultClientContext>) -> Result<Vec<String>, KafkaError> {
    let metadata = admin.inner().fetch_metadata(None, PATIENCE)?;
    Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect())
}
