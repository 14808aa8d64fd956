use hubwire_upstream::SinkError;

/// The events of a delivery that are lost, and why the first that was noticed is.
#[derive(Default)]
pub(crate) struct Lost {
    reason: Option<String>,
    indices: Vec<usize>,
}

impl Lost {
    pub(crate) fn add(&mut self, index: usize, reason: String) {
        self.indices.push(index);
        self.reason.get_or_insert(reason);
    }

    pub(crate) fn add_all(&mut self, indices: impl IntoIterator<Item = usize>, reason: &str) {
        for index in indices {
            self.add(index, reason.to_owned());
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.indices.extend(other.indices);
        self.reason = self.reason.take().or(other.reason);
    }

    pub(crate) fn into_result(mut self) -> Result<(), SinkError> {
        match self.reason {
            None => Ok(()),
            Some(reason) => {
                self.indices.sort_unstable();
                Err(SinkError {
                    reason,
                    lost: self.indices,
                })
            }
        }
    }
}
