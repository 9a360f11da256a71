//! What is remembered of jobs beyond their answers: which credential knows them, and how far they had come.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::sync::{Mutex, PoisonError};

/// Jobs that are remembered; above it those not asked for longest are forgotten, half of them at a time.
const MAX_JOBS: usize = 1_000_000;

const SHARDS: usize = 64;

/// A job of a provider, as asked for with one identity: a keyed hash, so that nobody can aim at another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::gateway) struct JobKey(pub u128);

/// Makes tables use the key as it is: a hash of a hash would be a waste.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::gateway) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        // Keys are single numbers, which come below.
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u128(&mut self, key: u128) {
        // The other half chooses the shard.
        self.0 = (key >> 64) as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A few bytes per job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::gateway) struct Record {
    /// The place of the credential that knows the job.
    pub credential: u16,
    /// The highest progress that was answered.
    pub progress: u8,
    /// An end was answered.
    pub ended: bool,
}

/// Makes keys; the hash keys are drawn at start.
#[derive(Debug, Default)]
pub(in crate::gateway) struct Keyring(RandomState, RandomState);

impl Keyring {
    pub fn key(&self, provider: &str, identity: &[u8], job: &str) -> JobKey {
        let half = |state: &RandomState| u128::from(state.hash_one((provider, identity, job)));
        JobKey(half(&self.0) << 64 | half(&self.1))
    }

    /// A keyed hash of anything else, such as a client's credential.
    pub fn hash(&self, value: impl Hash + Copy) -> u128 {
        u128::from(self.0.hash_one(value)) << 64 | u128::from(self.1.hash_one(value))
    }
}

/// The table, in shards, each in two generations: the old one is dropped when the young one is full.
pub(in crate::gateway) struct Records {
    shards: Vec<Mutex<Shard>>,
    per_generation: usize,
}

#[derive(Default)]
struct Shard {
    young: HashMap<JobKey, Record, BuildHasherDefault<AsItIs>>,
    old: HashMap<JobKey, Record, BuildHasherDefault<AsItIs>>,
}

impl Default for Records {
    fn default() -> Self {
        Records::with_room_for(MAX_JOBS)
    }
}

impl Records {
    fn with_room_for(jobs: usize) -> Records {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Records { shards, per_generation: (jobs / SHARDS / 2).max(1) }
    }

    pub fn get(&self, key: JobKey) -> Option<Record> {
        self.with(key, |shard, room| {
            let record = shard.young.get(&key).copied();
            // What is asked for stays young.
            record.or_else(|| shard.old.remove(&key).inspect(|record| shard.keep(key, *record, room)))
        })
    }

    pub fn set(&self, key: JobKey, record: Record) {
        self.with(key, |shard, room| shard.keep(key, record, room));
    }

    /// Jobs that are remembered now.
    pub fn len(&self) -> usize {
        let count = |shard: &Mutex<Shard>| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.young.len() + shard.old.len()
        };
        self.shards.iter().map(count).sum()
    }

    fn with<T: Default>(&self, key: JobKey, act: impl FnOnce(&mut Shard, usize) -> T) -> T {
        let place = usize::try_from(key.0 % SHARDS as u128).unwrap_or_default();
        let Some(shard) = self.shards.get(place) else { return T::default() };
        act(&mut shard.lock().unwrap_or_else(PoisonError::into_inner), self.per_generation)
    }
}

impl Shard {
    fn keep(&mut self, key: JobKey, record: Record, room: usize) {
        if self.young.len() >= room && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.old.remove(&key);
        self.young.insert(key, record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_bounded_and_keeps_what_is_asked_for() {
        let (records, keyring) = (Records::with_room_for(6400), Keyring::default());
        let favourite = keyring.key("openai", b"", "favourite");
        records.set(favourite, Record { credential: 7, ..Record::default() });
        for job in 0..50_000 {
            records.set(keyring.key("openai", b"", &job.to_string()), Record::default());
            assert_eq!(records.get(favourite).map(|record| record.credential), Some(7), "{job}");
        }
        assert!(records.len() <= 6400, "{}", records.len());
    }

    #[test]
    fn keys_differ_by_provider_identity_and_job() {
        let keyring = Keyring::default();
        let keys = [
            keyring.key("a", b"x", "1"),
            keyring.key("b", b"x", "1"),
            keyring.key("a", b"y", "1"),
            keyring.key("a", b"x", "2"),
            keyring.key("ax", b"", "1"),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert_eq!(keys.iter().position(|other| other == key), Some(at));
        }
        assert_ne!(Keyring::default().key("a", b"x", "1"), keyring.key("a", b"x", "1"));
    }
}
