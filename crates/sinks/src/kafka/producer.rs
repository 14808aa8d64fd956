//! A producer that keeps the order of each connection.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hubwire_upstream::{ListenerEvent, Sink, SinkFuture, tls_config};
use rskafka::BackoffConfig;
use rskafka::client::error::{Error, ProtocolError};
use rskafka::client::partition::{Compression, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder, Credentials, SaslConfig};
use rskafka::record::Record;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::partition::partition;
use super::record::{record, size};
use super::{KafkaSettings, Sasl, SaslMechanism};
use crate::backoff::Backoff;
use crate::lost::Lost;

/// Time to reach a cluster and to learn its partitions.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Time for a request, the search for another leader included.
const PRODUCE_TIMEOUT: Duration = Duration::from_secs(30);
/// Time until the number of partitions is asked for again. Source: ours, that of the Java client.
const PARTITIONS_MAX_AGE: Duration = Duration::from_secs(300);
/// Bytes of a request, unless a single event is larger. Source: ours, below the limit that brokers have unless told otherwise,
/// 1,048,588 bytes.
const REQUEST_BYTES_MAX: usize = 900_000;
/// What a request may be repeated within it: a leader that moves. Longer outages are for the caller.
const LEADER_BACKOFF: BackoffConfig = BackoffConfig {
    init_backoff: Duration::from_millis(100),
    max_backoff: Duration::from_secs(2),
    base: 2.0,
    deadline: Some(Duration::from_secs(10)),
};

pub(super) struct KafkaSink {
    settings: KafkaSettings,
    /// Made when there are events, and again after anything has gone wrong: so the addresses in the settings are tried, too, if
    /// all the brokers have moved.
    cluster: Mutex<Option<Cluster>>,
}

struct Cluster {
    client: Client,
    /// By their index; those that no event was for are absent.
    partitions: Vec<Option<Arc<PartitionClient>>>,
    counted: Instant,
}

/// What became of the events of a partition.
#[derive(Default)]
struct Outcome {
    delivered: Vec<usize>,
    too_large: Vec<usize>,
    failure: Option<String>,
}

impl KafkaSink {
    pub(super) fn new(settings: KafkaSettings) -> Self {
        Self {
            settings,
            cluster: Mutex::new(None),
        }
    }

    async fn produce(&self, events: &[ListenerEvent]) -> Lost {
        let mut lost = Lost::default();
        let mut waiting: Vec<usize> = (0..events.len()).collect();
        let mut backoff = Backoff::new(self.settings.retry_for);
        let mut cluster = self.cluster.lock().await;
        loop {
            let before = waiting.len();
            let attempt = self.attempt(&mut cluster, events, &mut waiting, &mut lost);
            let Err(reason) = attempt.await else {
                return lost;
            };
            *cluster = None;
            tracing::debug!(reason, "an event listener at Kafka did not take events");
            if !backoff.again(waiting.len() < before).await {
                lost.add_all(waiting, &reason);
                return lost;
            }
        }
    }

    /// Sends the events that wait. Those that are delivered or lost wait no more, whatever the outcome is.
    async fn attempt(
        &self,
        cluster: &mut Option<Cluster>,
        events: &[ListenerEvent],
        waiting: &mut Vec<usize>,
        lost: &mut Lost,
    ) -> Result<(), String> {
        let topic = &self.settings.topic;
        let cluster = match cluster {
            Some(cluster) => {
                cluster.count_again(topic).await?;
                cluster
            }
            None => cluster.insert(within(CONNECT_TIMEOUT, self.connect()).await?),
        };
        let mut produced = FuturesUnordered::new();
        for (index, waiting) in by_partition(events, waiting, cluster.partitions.len()) {
            let client = within(CONNECT_TIMEOUT, cluster.partition(topic, index)).await?;
            produced.push(produce_all(client, events, waiting));
        }
        let mut failure = None;
        while let Some(outcome) = produced.next().await {
            let is_done = |index: &usize| {
                outcome.delivered.contains(index) || outcome.too_large.contains(index)
            };
            waiting.retain(|index| !is_done(index));
            let reason = format!("the event is larger than topic `{topic}` takes");
            lost.add_all(outcome.too_large, &reason);
            failure = failure.or(outcome.failure);
        }
        failure.map_or(Ok(()), Err)
    }

    async fn connect(&self) -> Result<Cluster, String> {
        let settings = &self.settings;
        let mut builder = ClientBuilder::new(settings.brokers.clone())
            .client_id("hubwire")
            .backoff_config(LEADER_BACKOFF);
        if settings.tls {
            builder = builder.tls_config(tls_config(&settings.certificates));
        }
        if let Some(sasl) = &settings.sasl {
            builder = builder.sasl_config(sasl_config(sasl));
        }
        let client = builder.build().await.map_err(|error| text(&error))?;
        let count = count_partitions(&client, &settings.topic).await?;
        Ok(Cluster {
            client,
            partitions: vec![None; count],
            counted: Instant::now(),
        })
    }
}

impl Sink for KafkaSink {
    fn deliver<'a>(&'a self, events: &'a [ListenerEvent]) -> SinkFuture<'a> {
        Box::pin(async move { self.produce(events).await.into_result() })
    }
}

impl Cluster {
    /// Asks for the number of partitions from time to time: a topic may get more.
    async fn count_again(&mut self, topic: &str) -> Result<(), String> {
        if self.counted.elapsed() < PARTITIONS_MAX_AGE {
            return Ok(());
        }
        let count = within(CONNECT_TIMEOUT, count_partitions(&self.client, topic)).await?;
        self.partitions.resize(count, None);
        self.counted = Instant::now();
        Ok(())
    }

    async fn partition(
        &mut self,
        topic: &str,
        index: usize,
    ) -> Result<Arc<PartitionClient>, String> {
        if let Some(Some(client)) = self.partitions.get(index) {
            return Ok(Arc::clone(client));
        }
        let id = i32::try_from(index).map_err(|error| error.to_string())?;
        let handling = UnknownTopicHandling::Error;
        let client = self.client.partition_client(topic, id, handling).await;
        let client = Arc::new(client.map_err(|error| text(&error))?);
        if let Some(slot) = self.partitions.get_mut(index) {
            *slot = Some(Arc::clone(&client));
        }
        Ok(client)
    }
}

/// Returns the number of partitions of a topic, at least one.
async fn count_partitions(client: &Client, topic: &str) -> Result<usize, String> {
    let topics = client.list_topics().await.map_err(|error| text(&error))?;
    let found = topics.into_iter().find(|found| found.name == topic);
    match found.map_or(0, |topic| topic.partitions.len()) {
        0 => Err(format!(
            "topic `{topic}` does not exist, or the service may not see it"
        )),
        count => Ok(count),
    }
}

/// Returns the events that wait, by the partition of their connection, each in their order.
fn by_partition(
    events: &[ListenerEvent],
    waiting: &[usize],
    partitions: usize,
) -> Vec<(usize, Vec<usize>)> {
    let mut groups = vec![Vec::new(); partitions];
    for &index in waiting {
        let key = events[index].event.connection_id.as_bytes();
        groups[partition(key, partitions)].push(index);
    }
    let groups = groups.into_iter().enumerate();
    groups.filter(|(_, group)| !group.is_empty()).collect()
}

/// Sends the events of a partition one request after the other, up to the first that fails.
async fn produce_all(
    client: Arc<PartitionClient>,
    events: &[ListenerEvent],
    waiting: Vec<usize>,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut next = 0;
    // Halved when the broker finds requests too large, whose topic has a limit of its own.
    let mut bytes_max = REQUEST_BYTES_MAX;
    while next < waiting.len() {
        let records = take(events, &waiting[next..], bytes_max);
        let sent = &waiting[next..next + records.len()];
        let produced = client.produce(records, Compression::NoCompression);
        match tokio::time::timeout(PRODUCE_TIMEOUT, produced).await {
            Ok(Ok(_)) => outcome.delivered.extend(sent),
            Ok(Err(error)) if is_too_large(&error) && sent.len() > 1 => {
                bytes_max /= 2;
                continue;
            }
            Ok(Err(error)) if is_too_large(&error) => outcome.too_large.extend(sent),
            Ok(Err(error)) => outcome.failure = Some(text(&error)),
            Err(_) => outcome.failure = Some("Kafka does not answer".to_owned()),
        }
        if outcome.failure.is_some() {
            break;
        }
        next += sent.len();
    }
    outcome
}

/// Returns the records of the first events that fit into a request together, at least one.
fn take(events: &[ListenerEvent], waiting: &[usize], bytes_max: usize) -> Vec<Record> {
    let mut records = Vec::new();
    let mut bytes = 0;
    for &index in waiting {
        let record = record(&events[index]);
        bytes += size(&record);
        if bytes > bytes_max && !records.is_empty() {
            break;
        }
        records.push(record);
    }
    records
}

fn is_too_large(error: &Error) -> bool {
    matches!(
        error,
        Error::ServerError {
            protocol_error: ProtocolError::MessageTooLarge | ProtocolError::RecordListTooLarge,
            ..
        }
    )
}

fn sasl_config(sasl: &Sasl) -> SaslConfig {
    let credentials = Credentials::new(sasl.username.clone(), sasl.password.expose().to_owned());
    match sasl.mechanism {
        SaslMechanism::Plain => SaslConfig::Plain(credentials),
        SaslMechanism::ScramSha256 => SaslConfig::ScramSha256(credentials),
        SaslMechanism::ScramSha512 => SaslConfig::ScramSha512(credentials),
    }
}

/// Bounds what the library may take for something.
async fn within<T>(
    timeout: Duration,
    work: impl Future<Output = Result<T, String>>,
) -> Result<T, String> {
    tokio::time::timeout(timeout, work)
        .await
        .unwrap_or_else(|_| Err("Kafka does not answer".to_owned()))
}

fn text(error: &Error) -> String {
    format!("Kafka: {error}")
}
