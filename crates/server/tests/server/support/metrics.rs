use hubwire_server::config::Config;
use tokio::time::timeout;

use super::{PATIENCE, Service};

/// Lets the first listener answer `/metrics`.
pub(crate) fn with_metrics(config: &mut Config) {
    config.listeners[0].roles.metrics = true;
}

impl Service {
    /// Returns the sum of all samples of a metric whose labels contain this text. The service must be one [`with_metrics`].
    pub(crate) async fn metric(&self, name: &str, labels: &str) -> f64 {
        let answer = self.request("GET", "/metrics", "", b"").await;
        assert_eq!(answer.status, 200);
        sample(&answer.body, name, labels)
    }

    /// Waits until a metric has the value that is wanted.
    pub(crate) async fn until_metric(
        &self,
        name: &str,
        labels: &str,
        is_wanted: impl Fn(f64) -> bool,
    ) {
        let mut last = f64::NAN;
        let poll = async {
            loop {
                last = self.metric(name, labels).await;
                if is_wanted(last) {
                    return;
                }
            }
        };
        let is_reached = timeout(PATIENCE, poll).await.is_ok();
        assert!(is_reached, "{name} {labels} stayed at {last}");
    }
}

/// Returns the sum of all samples of a metric whose labels contain this text; 0 if there is none.
pub(crate) fn sample(text: &str, name: &str, labels: &str) -> f64 {
    text.lines()
        .filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (known, known_labels) = series.split_once('{').unwrap_or((series, ""));
            (known == name && known_labels.contains(labels)).then(|| value.parse::<f64>().unwrap())
        })
        .sum()
}
