use hubwire_protocol::names::{GroupName, Hub, UserId};

/// How many buckets there are.
pub const BUCKETS: usize = 4096;

/// A fixed share of all hubs, groups and users. Shards tell which buckets they have members in, so that a publisher need not
/// ask those that have none; a collision only costs a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket(u16);

impl Bucket {
    /// Returns the bucket of a hub as a whole.
    pub fn of_hub(hub: &Hub) -> Self {
        Self::hash(b'h', hub, "")
    }

    /// Returns the bucket of a group.
    pub fn of_group(hub: &Hub, group: &GroupName) -> Self {
        Self::hash(b'g', hub, group.as_str())
    }

    /// Returns the bucket of a user.
    pub fn of_user(hub: &Hub, user: &UserId) -> Self {
        Self::hash(b'u', hub, user.as_str())
    }

    /// Returns the bucket of those who watch the states of a group. Its home keeps the states.
    pub fn of_group_state(hub: &Hub, group: &GroupName) -> Self {
        Self::hash(b's', hub, group.as_str())
    }

    /// Returns the one of `shards` shards that keeps what belongs to the bucket and to no connection.
    pub fn home(self, shards: u16) -> u16 {
        self.0 % shards
    }

    /// Returns a number below [`BUCKETS`].
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// FNV-1a, since every node must come to the same number.
    fn hash(kind: u8, hub: &Hub, name: &str) -> Self {
        let bytes = [kind]
            .into_iter()
            .chain(hub.as_str().bytes())
            .chain([0])
            .chain(name.bytes());
        let hash = bytes.fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        });
        Self(((hash ^ hash >> 32) % BUCKETS as u64) as u16)
    }
}

/// What one shard has in each bucket.
#[derive(Debug)]
pub(crate) struct Interest {
    counts: Vec<u32>,
}

impl Interest {
    pub(crate) fn new() -> Self {
        Self {
            counts: vec![0; BUCKETS],
        }
    }

    /// Returns true if the bucket was empty.
    pub(crate) fn add(&mut self, bucket: Bucket) -> bool {
        let count = &mut self.counts[bucket.index()];
        *count += 1;
        *count == 1
    }

    /// Returns true if the bucket is empty now.
    pub(crate) fn remove(&mut self, bucket: Bucket) -> bool {
        let count = &mut self.counts[bucket.index()];
        debug_assert!(*count > 0, "removed from an empty bucket");
        *count = count.saturating_sub(1);
        *count == 0
    }
}
