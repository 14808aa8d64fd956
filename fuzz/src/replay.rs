//! Runs a target without a fuzzer: on its committed corpus, and on a fixed number of pseudo-random changes of it.

use std::path::Path;

/// What is pasted into inputs, beside bytes of their own.
const PIECES: [&[u8]; 16] = [
    b"\0",
    b"\n",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"null",
    b"18446744073709551616",
    b"-1",
    b"{",
    b"[",
    b"\xFF",
    b"\xED\xA0\x80",
    "😀".as_bytes(),
    b"%2F",
    b"**",
];

/// Runs `target` on every file of `corpus`, then on `rounds` changed inputs, the same ones each time.
///
/// # Panics
///
/// If the corpus cannot be read or is empty, or if the target panics.
pub fn run(corpus: &Path, rounds: u32, target: fn(&[u8])) {
    let seeds = read(corpus);
    for seed in &seeds {
        target(seed);
    }
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for _ in 0..rounds {
        let mut input = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(4) {
            change(&mut input, &seeds, &mut random);
        }
        target(&input);
    }
}

fn read(corpus: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(corpus).expect("the corpus is a directory");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry can be read").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "the corpus is empty");
    paths
        .iter()
        .map(|path| std::fs::read(path).expect("a seed can be read"))
        .collect()
}

fn change(input: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    let at = random.below(input.len() + 1);
    match random.below(6) {
        0 if at < input.len() => input[at] ^= 1 << random.below(8),
        1 if at < input.len() => input[at] = random.below(256) as u8,
        2 => input.truncate(at),
        3 => {
            let end = at + random.below(input.len() - at + 1);
            input.drain(at..end);
        }
        4 => {
            let other = &seeds[random.below(seeds.len())];
            input.truncate(at);
            input.extend_from_slice(&other[random.below(other.len() + 1)..]);
        }
        _ => {
            let piece = PIECES[random.below(PIECES.len())];
            input.splice(at..at, piece.iter().copied());
        }
    }
}

/// Xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}
