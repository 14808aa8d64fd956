//! Tokens that were good lately: verifying a signature takes far longer than anything else about a small request.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};

use super::action::Grant;

/// Tokens that are remembered. Source: ours, more than there are callers.
const VERIFIED_MAX: usize = 10_000;

/// What is remembered of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verified {
    pub(super) grant: Grant,
    /// Which issuer's it is.
    pub(super) issuer: usize,
    /// The keys by which it was good.
    pub(super) version: u64,
    /// The last second in which it is good, since 1970.
    pub(super) until: u64,
}

/// A token, as far as it is kept: its hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TokenHash([u8; 32]);

impl TokenHash {
    pub(super) fn of(token: &str) -> Self {
        let hash = digest(&SHA256, token.as_bytes());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(hash.as_ref());
        Self(bytes)
    }
}

/// The tokens used last. They are in two generations: what is used moves to the young one, and the old one is forgotten as a whole
/// when the young one is full.
#[derive(Default)]
pub(super) struct VerifiedTokens(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: HashMap<TokenHash, Verified>,
    old: HashMap<TokenHash, Verified>,
}

impl VerifiedTokens {
    pub(super) fn get(&self, token: TokenHash) -> Option<Verified> {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = generations.young.get(&token) {
            return Some(*found);
        }
        let found = generations.old.remove(&token)?;
        generations.insert(token, found);
        Some(found)
    }

    pub(super) fn insert(&self, token: TokenHash, verified: Verified) {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        generations.insert(token, verified);
    }
}

impl Generations {
    fn insert(&mut self, token: TokenHash, verified: Verified) {
        if self.young.len() >= VERIFIED_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(token, verified);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_in_use_stay_and_no_more_are_kept_than_may_be() {
        let tokens = VerifiedTokens::default();
        let verified = Verified {
            grant: Grant::EVERYTHING,
            issuer: 0,
            version: 0,
            until: 0,
        };
        let used = TokenHash::of("used");
        tokens.insert(used, verified);
        let unused = TokenHash::of("unused");
        tokens.insert(unused, verified);
        for number in 0..3 * VERIFIED_MAX {
            tokens.insert(TokenHash::of(&number.to_string()), verified);
            assert_eq!(tokens.get(used), Some(verified));
        }
        assert_eq!(tokens.get(unused), None);
        let generations = tokens.0.lock().unwrap();
        assert!(generations.young.len() + generations.old.len() <= VERIFIED_MAX);
    }
}
