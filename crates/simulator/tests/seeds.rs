//! A taste of `cargo xtask simulate`: few seeds, without optimisation.

use hubwire_simulator::{simulate, trace};

const SEEDS: u64 = 240;

#[test]
fn every_seed_keeps_every_promise() {
    for seed in 0..SEEDS {
        if let Err(broken) = simulate(seed) {
            panic!(
                "seed {seed}: {}: {}; all of it: cargo xtask simulate --seed {seed} --trace",
                broken.promise, broken.detail
            );
        }
    }
}

#[test]
fn run_is_a_function_of_its_seed() {
    for seed in [3, 11, 42] {
        let (first, broken) = trace(seed);
        assert!(broken.is_none());
        let (again, _) = trace(seed);
        let lines = |lines: &[hubwire_simulator::Line]| {
            lines.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(lines(&first), lines(&again), "seed {seed}");
        assert_ne!(lines(&first), lines(&trace(seed + 1).0));
    }
}
