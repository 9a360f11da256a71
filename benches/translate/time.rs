//! Times of all cases, with criterion.

use crate::cases::Case;
use criterion::{Criterion, Throughput};
use std::time::Duration;

pub fn all(cases: impl Iterator<Item = Case>) {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for Case { name, payload, run } in cases {
        let (group_name, case_name) = name.split_once('/').unwrap_or((&name, "video"));
        let mut group = criterion.benchmark_group(group_name);
        if let Some(bytes) = payload {
            group.throughput(Throughput::Bytes(bytes as u64)).sample_size(10);
        }
        group.bench_function(case_name, |bencher| bencher.iter(&run));
        group.finish();
    }
    criterion.final_summary();
}
